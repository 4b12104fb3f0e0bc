package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// AddVirtualMachine puts a virtual machine of another machine on the LAN. It has a port, a
// MAC and addresses of its own, and runs only while its host is up. It is up when
// AddVirtualMachine returns, as its host is. From the next start of the host on it is
// powered on when the network of the host is up, and takes cfg.Boot from there. No magic
// packet wakes it.
func (l *LAN) AddVirtualMachine(host *Machine, cfg MachineConfig) (*Machine, error) {
	if host.cfg.Suspend || host.State() != Awake {
		return nil, fmt.Errorf("virtual machine %s: %s is %s: want a machine that is up, and is shut down to sleep", cfg.Name, host.name, host.State())
	}
	cfg.IgnoreMagic = IgnoreAll
	vm, err := l.AddMachine(cfg)
	if err != nil {
		return nil, err
	}
	host.mu.Lock()
	defer host.mu.Unlock()
	host.virtual = append(host.virtual, vm)
	return vm, nil
}

func (m *Machine) virtualMachines() []*Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.virtual)
}

// startVirtualMachines powers them on.
func (m *Machine) startVirtualMachines() {
	for _, vm := range m.virtualMachines() {
		if err := vm.PowerOn(); err != nil && m.lan.ctx.Err() == nil {
			vm.log.add(Event{Kind: Failed, Detail: err.Error()})
		}
	}
}

// stopVirtualMachines shuts down those that are up, and cuts the power of those that start.
func (m *Machine) stopVirtualMachines(ctx context.Context) error {
	var failed error
	for _, vm := range m.virtualMachines() {
		switch vm.State() {
		case Asleep:
		case Awake:
			failed = errors.Join(failed, vm.Sleep(ctx))
		default:
			failed = errors.Join(failed, vm.PowerCut(ctx))
		}
	}
	return failed
}
