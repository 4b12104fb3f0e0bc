package machine

// What a Spec holds at most, registered or configured. Without bounds one machine
// could take the memory, the questions and the journal of all.
const (
	MaxServices  = 256 // (address, protocol, port)
	MaxAddresses = 256 // services or not
	MaxWakeFrom  = 256 // entries of WakeFrom
)

// CountServices returns how many services these addresses have.
func CountServices(monitor []Address) int {
	n := 0
	for _, a := range monitor {
		n += len(a.Ports)
	}
	return n
}
