package cli

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nightporter/internal/journal"
	"nightporter/internal/terminal"
	"nightporter/internal/wait"
	"nightporter/internal/web"
)

const (
	// redrawPause is the shortest time between two drawings, since events often come
	// several at a time.
	redrawPause = 250 * time.Millisecond
	// redrawEvery is the longest time between two drawings, since the table says how
	// long ago things were.
	redrawEvery = 30 * time.Second
)

// clearScreen moves the cursor to the top left and clears the screen (ECMA-48 CUP, ED).
const clearScreen = "\x1b[H\x1b[2J"

// watchMachines draws the machines again after each event, until Ctrl-C.
func (f *statusFlags) watchMachines(cmd *cobra.Command, client *web.Client, args []string) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	last, err := client.Events(ctx, web.EventQuery{Limit: 1})
	if err != nil {
		return err
	}
	q := web.EventQuery{Since: new(uint64)}
	if len(last) > 0 {
		*q.Since = last[0].Seq
	}
	news, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- client.Follow(ctx, q, func(journal.Event) error {
			select {
			case news <- struct{}{}:
			default: // a drawing is due already
			}
			return nil
		})
	}()
	err = f.redraw(ctx, cmd, client, args, news, ended)
	if wasInterrupted(cmd.Context(), err) {
		return nil
	}
	return err
}

// redraw draws until ctx or the stream of events ends.
func (f *statusFlags) redraw(ctx context.Context, cmd *cobra.Command, client *web.Client, args []string, news <-chan struct{}, ended <-chan error) error {
	slow := time.NewTicker(redrawEvery)
	defer slow.Stop()
	for {
		if err := f.draw(cmd, client, args); err != nil {
			return err
		}
		if !wait.For(ctx, redrawPause) {
			return ctx.Err()
		}
		select {
		case <-news:
		case <-slow.C:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// draw shows the machines once. On a terminal it replaces the previous drawing.
func (f *statusFlags) draw(cmd *cobra.Command, client *web.Client, args []string) error {
	var page bytes.Buffer
	cmd.SetOut(&page)
	porter, err := f.show(cmd, client, args, &page)
	cmd.SetOut(nil) // the output of the root command
	if err != nil {
		return err
	}
	if !porter.Ready {
		fmt.Fprintln(&page, "not ready:", printable(porter.Reason))
	}
	out := cmd.OutOrStdout()
	if terminal.Is(out) {
		_, err = out.Write(append([]byte(clearScreen), page.Bytes()...))
	} else {
		_, err = out.Write(append(page.Bytes(), '\n'))
	}
	return err
}
