package porter

import (
	"context"
	"fmt"
	"log/slog"

	"nightporter/internal/config"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// openNICs opens the interfaces that conf names, or the one of the default route.
func (p *Porter) openNICs(conf *config.Config) error {
	names := conf.Interfaces
	if len(names) == 0 {
		name, err := lan.DefaultInterface()
		if err != nil {
			return err
		}
		names = []string{name}
	}
	for _, name := range names {
		n, err := openNIC(name, conf.Wake.Local, p.sightings, p.replied, p.log)
		if err != nil {
			return err
		}
		p.nics = append(p.nics, n)
	}
	return nil
}

// open gives n a link, in place of a closed one where there is any.
func (n *nic) open(log *slog.Logger) error {
	l, err := lan.OpenLink(n.name, n.local, n.link.Load(), log)
	if err != nil {
		return err
	}
	n.reader.responder.Self = l.MAC()
	n.link.Store(l)
	return nil
}

// listen has n's readers work until ctx ends or the link is closed. One that ends
// for another reason leaves it in failed, and then calls kick.
func (n *nic) listen(ctx context.Context, kick func()) {
	failed := make(chan error, lan.LinkReaders)
	n.failed = failed
	n.link.Load().Listen(ctx, lan.Handlers{
		Received: n.reader.handle,
		Sent:     n.sentByHost,
		Failed: func(err error) {
			failed <- err
			kick()
		},
	})
}

// Close closes what is open on the interface.
func (n *nic) Close() error { return n.link.Load().Close() }

// closed reports whether nothing is.
func (n *nic) closed() bool { return n.link.Load().Closed() }

// Name returns the interface's name.
func (n *nic) Name() string { return n.name }

// Index returns the kernel's number of the interface, as it was when it was opened last.
func (n *nic) Index() int { return n.link.Load().Index() }

// MAC returns our address on the interface, as it was then.
func (n *nic) MAC() machine.MAC { return n.link.Load().MAC() }

// MTU returns the interface's MTU in octets, as it was then.
func (n *nic) MTU() int { return n.link.Load().MTU() }

// Send puts a frame on the wire.
func (n *nic) Send(frame []byte) error { return n.link.Load().Send(frame) }

// opened returns what the link was opened with.
func (n *nic) opened() lan.Status { return n.link.Load().Opened() }

// out returns why nothing can be done on the interface, or nil.
func (n *nic) out() error {
	if reason := n.trouble.Load(); reason != nil {
		return n.says(*reason)
	}
	return nil
}

// says makes an error of what is wrong with the interface; nothing is none.
func (n *nic) says(fault string) error {
	if fault == "" {
		return nil
	}
	return fmt.Errorf("interface %s %s", n.name, fault)
}
