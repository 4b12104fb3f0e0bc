package logtest

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
)

// An entry has its event, its attributes and the text of slog.
func TestEntry(t *testing.T) {
	var l Log
	log := l.Logger().With("interface", "eth0").WithGroup("frame")
	log.Warn("cannot send", slog.Group("arp", "op", 2), "err", errors.New("no buffer"))
	l.Logger().Debug("sent", "event", "frame_sent")
	all := l.Entries()
	if len(all) != 2 || l.String() != all[0].Text+all[1].Text {
		t.Fatalf("collected %+v", all)
	}
	e := all[0]
	want := map[string]string{"interface": "eth0", "frame.arp.op": "2", "frame.err": "no buffer"}
	if e.Level != slog.LevelWarn || e.Message != "cannot send" || !maps.Equal(e.Attrs, want) {
		t.Errorf("%+v", e)
	}
	if !strings.HasSuffix(e.Text, `level=WARN msg="cannot send" interface=eth0 frame.arp.op=2 frame.err="no buffer"`+"\n") {
		t.Errorf("the text is %q", e.Text)
	}
	if found := l.Events("frame_sent"); len(found) != 1 || found[0].Message != "sent" {
		t.Errorf("the event is %+v", found)
	}
	if found := l.Lines("eth0"); len(found) != 1 || !l.Contains("eth0") || l.Contains("eth1") {
		t.Errorf("the lines with eth0 are %q", found)
	}
}

// A level hides the lower ones.
func TestLevel(t *testing.T) {
	var l Log
	l.LoggerAt(slog.LevelInfo).Debug("hidden")
	l.LoggerAt(slog.LevelInfo).Info("shown")
	if got := l.Entries(); len(got) != 1 || got[0].Message != "shown" {
		t.Errorf("collected %+v", got)
	}
}

// Several goroutines log while one waits.
func TestWait(t *testing.T) {
	var l Log
	log := l.Logger()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { log.Info("done", "event", "done") })
	}
	if e := l.Wait(t, "done"); e.Event() != "done" {
		t.Errorf("%+v", e)
	}
	all.Wait()
	if n := len(l.Events("done")); n != 8 {
		t.Errorf("%d lines of 8", n)
	}
}
