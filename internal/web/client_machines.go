package web

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"nightporter/internal/ether"
)

// maxMachineBytes bounds what is read of machines: a thousand with a hundred
// services each are far below.
const maxMachineBytes = 16 << 20

// Machine is a machine as the API shows it.
type Machine = machineJSON

// Standing is how one address of a machine stands, as the API shows it.
type Standing = standingJSON

// LastWake is who woke a machine last, as the API shows it.
type LastWake = lastWakeJSON

// Ignored are packets that did not wake a machine, as the API shows them.
type Ignored = ignoredJSON

// Day is how long a machine slept on one day, as the API shows it.
type Day = dayJSON

// History is the last week of a machine, as the API shows it.
type History = historyJSON

// ClientWakes is how often one client woke a machine, as the API shows it.
type ClientWakes = clientJSON

// Status returns how the porter is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.ask(ctx, apiRequest{
		method: http.MethodGet, path: []string{"status"}, accept: jsonType, want: http.StatusOK, failed: "no status",
	}, &s)
	return s, err
}

// Machines returns all machines, by name.
func (c *Client) Machines(ctx context.Context) ([]Machine, error) {
	var all []Machine
	err := c.ask(ctx, apiRequest{
		method: http.MethodGet, path: []string{"machines"}, accept: jsonType, want: http.StatusOK, failed: "no machines",
	}, &all)
	return all, err
}

// Machine returns one machine, or an error that is machine.ErrUnknown if there is
// none of that name.
func (c *Client) Machine(ctx context.Context, name string) (Machine, error) {
	var m Machine
	err := c.ask(ctx, apiRequest{
		method: http.MethodGet, path: []string{"machines", name}, accept: jsonType, want: http.StatusOK, failed: "no machine",
	}, &m)
	return m, err
}

// History returns the last week of a machine. Its error is machine.ErrUnknown if there
// is none of that name, and ErrNotServed if the porter is too old to tell.
func (c *Client) History(ctx context.Context, name string) (History, error) {
	var h History
	err := c.ask(ctx, apiRequest{
		method: http.MethodGet, path: []string{"machines", name, "history"}, accept: jsonType, want: http.StatusOK, failed: "no history",
	}, &h)
	return h, err
}

// Why returns why a machine is as it is, or an error that is machine.ErrUnknown if
// there is none of that name.
func (c *Client) Why(ctx context.Context, name string) (Why, error) {
	var w Why
	err := c.ask(ctx, apiRequest{
		method: http.MethodGet, path: []string{"machines", name, "why"}, accept: jsonType, want: http.StatusOK, failed: "no answer why",
	}, &w)
	return w, err
}

// Wake begins to wake a machine, and returns it as it is then. Its error is
// machine.ErrUnknown if there is none of that name.
func (c *Client) Wake(ctx context.Context, name string) (Machine, error) {
	return c.change(ctx, apiRequest{method: http.MethodPost, path: []string{"machines", name, "wake"}, want: http.StatusAccepted, failed: "not woken"})
}

// TestWake is Wake for a wake that does not count.
func (c *Client) TestWake(ctx context.Context, name string) (Machine, error) {
	return c.change(ctx, apiRequest{
		method: http.MethodPost, path: []string{"machines", name, "wake"}, body: wakeRequest{Test: true}, want: http.StatusAccepted, failed: "not tested",
	})
}

// Pause has a machine left alone, and returns it. Its error is machine.ErrUnknown if
// there is none of that name.
func (c *Client) Pause(ctx context.Context, name string, p PauseRequest) (Machine, error) {
	return c.change(ctx, apiRequest{method: http.MethodPost, path: []string{"machines", name, "pause"}, body: p, want: http.StatusOK, failed: "not paused"})
}

// Unpause ends a pause, and returns the machine.
func (c *Client) Unpause(ctx context.Context, name string) (Machine, error) {
	return c.change(ctx, apiRequest{method: http.MethodDelete, path: []string{"machines", name, "pause"}, want: http.StatusOK, failed: "not resumed"})
}

// change has something done to a machine, and returns it as it is then.
func (c *Client) change(ctx context.Context, q apiRequest) (Machine, error) {
	var m Machine
	q.token, q.accept = true, jsonType
	err := c.ask(ctx, q, &m)
	return m, err
}

// WakeMAC has a magic packet sent for a MAC that no machine has.
func (c *Client) WakeMAC(ctx context.Context, mac ether.MAC) error {
	var answer macAnswer
	return c.ask(ctx, apiRequest{
		method: http.MethodPost, path: []string{"wake"}, token: true, body: macRequest{MAC: mac.String()},
		accept: jsonType, want: http.StatusAccepted, failed: "not woken",
	}, &answer)
}

// ask reads an answer that ends into what it is about.
func (c *Client) ask(ctx context.Context, q apiRequest, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := c.send(ctx, q)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxMachineBytes)).Decode(into); err != nil {
		return c.failed("cannot read the response", err)
	}
	return nil
}

// Forget has the porter forget a machine. Its error is machine.ErrUnknown if there
// is none of that name.
func (c *Client) Forget(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := c.send(ctx, apiRequest{
		method: http.MethodDelete, path: []string{"machines", name}, token: true,
		accept: jsonType, want: http.StatusNoContent, failed: "not forgotten",
	})
	if err != nil {
		return err
	}
	return body.Close()
}
