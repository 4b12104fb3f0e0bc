// Package registration implements the TCP JSON protocol by which a machine announces that it
// is about to sleep: server, client and admission rules.
//
// # Protocol
//
// A client connects, writes one JSON object and reads the answer. There is no
// framing, and the client need not shut down its side: the request is complete
// with the object's closing brace. The answer "OK." (three bytes, no newline)
// means accepted. Anything else is one line that says what is wrong. Then the
// server closes.
//
//	{"mac": "d8:cb:8a:39:be:a1", "name": "tower",
//	 "monitor": [{"ip": "192.168.1.5", "port": [22, "51820/udp", "icmp"]}]}
//
// Optional are name, token, idle_watts, sleep_watts, password (SecureOn),
// wake_from (who may wake the machine: CIDRs or bare addresses), wake_mac (the
// card that wakes it, where that is not mac), guests (entries as in monitor with the
// mac of a virtual machine or container), watch (true: the machine is up
// and to be watched, and is not about to sleep) and check (true: nothing is
// registered; the answer is the refusal, or "checked: " and the result).
// The clients of Wakupator speak the same protocol.
//
// A refusal that may pass by itself (a timeout, a limit) ends in "try again". Every other
// refusal is final until the machine or the configuration changes.
package registration
