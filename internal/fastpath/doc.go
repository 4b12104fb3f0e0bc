// Package fastpath handles the frames of one network interface. It answers ARP
// and neighbor discovery for sleeping machines, holds or forwards the packets
// that clients send to them, and reports sightings to the event loop.
//
// Three kinds of goroutines use it:
//
//   - Reader goroutines, one for each packet socket of the interface, call
//     Reader.Handle or Reader.HandleOutgoing with each frame. They work on one
//     View, which never changes once it is set. They lock only the hold of a
//     machine that a packet is for, its wake filter if there are rules, the list of
//     requesters of a machine that answers too or that is sent to by mistake, the
//     list of other hosts, and the resolver while a question is open. They never wait
//     for the event loop: a sighting for which there is no room is counted and dropped.
//   - The event loop makes each Target and each View, and calls Reader.SetView and
//     Reader.SetSurroundings. It takes the sightings from their channel and calls
//     Sighting.Taken for each. It alone calls the methods of Target. What these share
//     with the readers is atomic or has a lock.
//   - Other goroutines call Reader.Resolve, which waits for answers, and Reader.Lost.
package fastpath
