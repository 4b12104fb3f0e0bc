package web_test

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nightporter/internal/web"
)

// lockedBy returns a web configuration with the user anna and a password, whose hash
// costs as much as that.
func lockedBy(t *testing.T, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "web.yml", fmt.Sprintf("basic_auth_users:\n  anna: %q\n", hash))
}

// try returns the status of the probe for anna at ip with a password.
func (b *target) try(ip, password string) (status int, header http.Header, closes bool) {
	b.Helper()
	c := b.from(ip)
	defer c.Close()
	r, err := http.NewRequestWithContext(b.Context(), "GET", "http://porter/-/healthy", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	if password != "" {
		r.SetBasicAuth("anna", password)
	}
	go r.Write(c)
	answer := bufio.NewReader(c)
	status, header, err = readAnswer(answer)
	if err != nil {
		b.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, err = answer.ReadByte()
	return status, header, err != nil && strings.Contains(err.Error(), "EOF")
}

// TestAttackPasswords: a host guesses passwords as fast as it can. Each guess would
// take the processor for the time of a bcrypt.
func TestAttackPasswords(t *testing.T) {
	config := lockedBy(t, "open sesame", bcrypt.MinCost)
	synctest.Test(t, func(t *testing.T) {
		b, stop := attackable(t, func(o *web.Options) { o.WebConfig, o.SourceOf = config, oneHost })
		defer stop()
		if got, _, closes := b.try("10.0.0.9", "open sesame"); got != 200 || closes {
			t.Errorf("the password: status %d, closed: %v", got, closes)
		}
		var codes []int
		for i := range 200 {
			got, header, closes := b.try(fmt.Sprintf("10.0.0.%d", i%64), fmt.Sprint("guess ", i))
			codes = append(codes, got)
			if !closes || got == 429 && header.Get("Retry-After") == "" {
				t.Errorf("guess %d: status %d, Retry-After %q, closed: %v", i, got, header.Get("Retry-After"), closes)
			}
		}
		want := append(slices.Repeat([]int{401}, 10), slices.Repeat([]int{429}, 190)...)
		for i := range want { // each waited a second for the end of its connection, at most
			if codes[i] != want[i] {
				t.Errorf("guess %d of a host: status %d, want %d", i, codes[i], want[i])
				break
			}
		}
		if got, _, _ := b.try("10.0.0.9", "open sesame"); got != 200 {
			t.Errorf("the password that was right before, of the same host: status %d", got)
		}
		if got, _, _ := b.try("192.0.2.9", "open sesame"); got != 200 {
			t.Errorf("the password of another host: status %d", got)
		}
		if got, _, _ := b.try("192.0.2.8", "a slip"); got != 401 {
			t.Errorf("a wrong one of another host: status %d, want 401", got)
		}
		if got, _, _ := b.try("10.0.0.1", ""); got != 401 {
			t.Errorf("without a password: status %d, want 401", got)
		}
		if lines := strings.Count(b.log.String(), "wrong password"); lines == 0 || lines > 4 {
			t.Errorf("%d lines about wrong passwords, want a few:\n%s", lines, b.log)
		}
		if strings.Contains(b.log.String(), "guess") || strings.Contains(b.log.String(), "sesame") {
			t.Errorf("the log has a password:\n%s", b.log)
		}
		time.Sleep(time.Minute)
		if got, _, _ := b.try("10.0.0.1", "guess"); got != 401 {
			t.Errorf("after a minute: status %d, want 401", got)
		}
	})
}

// TestAttackPasswordsOfManyHosts: guesses from more hosts than there are on a LAN do
// not take more of the processor, nor keep out one whose password was right before.
func TestAttackPasswordsOfManyHosts(t *testing.T) {
	config := lockedBy(t, "open sesame", bcrypt.MinCost)
	synctest.Test(t, func(t *testing.T) {
		b, stop := attackable(t, func(o *web.Options) { o.WebConfig = config })
		defer stop()
		b.try("192.0.2.9", "open sesame")
		compared := 0
		for i := range 500 {
			if got, _, _ := b.try(fmt.Sprintf("10.0.%d.%d", i/250, i%250), fmt.Sprint("guess ", i)); got == 401 {
				compared++
			}
		}
		if compared < 20 || compared > 25 {
			t.Errorf("%d guesses of 500 hosts were compared, want some 20", compared)
		}
		if got, _, _ := b.try("192.0.2.9", "open sesame"); got != 200 {
			t.Errorf("the password that was right before: status %d", got)
		}
	})
}

// Right passwords are not counted, however many there are at once.
func TestRightPasswordsCostNothing(t *testing.T) {
	config := lockedBy(t, "open sesame", bcrypt.MinCost)
	synctest.Test(t, func(t *testing.T) {
		b, stop := attackable(t, func(o *web.Options) { o.WebConfig = config })
		defer stop()
		codes := make(chan int)
		const clients = 30 // a host may have 32 connections
		for range clients {
			go func() {
				got, _, _ := b.try("192.0.2.9", "open sesame")
				codes <- got
			}()
		}
		for range clients {
			if got := <-codes; got != 200 {
				t.Errorf("status %d, want 200", got)
			}
		}
		if strings.Contains(b.log.String(), "wrong") {
			t.Errorf("logged:\n%s", b.log)
		}
	})
}

// TestAttackPasswordsAtOnce: guesses on many connections from many hosts do not keep
// one who knows the password waiting, nor one who comes for the first time for long.
func TestAttackPasswordsAtOnce(t *testing.T) {
	const cost = 10 // of the toolkit's own documentation
	opts := options(new(fakeBackend))
	opts.Listen = []string{"127.0.0.1:0"}
	opts.WebConfig = lockedBy(t, "open sesame", cost)
	url := run(t, opts).urls[0] + "/-/healthy"
	c := newClient(t)
	if got := status(t, c, "GET", url, "anna", "open sesame"); got != 200 {
		t.Fatalf("status %d", got)
	}
	ended := make(chan int)
	guesser := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	const guessers, each = 32, 10
	for i := range guessers {
		go func() {
			wrong := 0
			for j := range each {
				r, _ := http.NewRequest("GET", url, http.NoBody)
				r.SetBasicAuth("anna", fmt.Sprint("guess ", i, j))
				if resp, err := guesser.Do(r); err == nil {
					resp.Body.Close()
					if resp.StatusCode == http.StatusUnauthorized {
						wrong++
					}
				}
			}
			ended <- wrong
		}()
	}
	var slowest time.Duration
	for range 20 {
		began := time.Now()
		if got := status(t, c, "GET", url, "anna", "open sesame"); got != 200 {
			t.Errorf("the password: status %d", got)
		}
		slowest = max(slowest, time.Since(began))
	}
	compared := 0
	for range guessers {
		compared += <-ended
	}
	t.Logf("%d of %d guesses were compared; a login beside them took %v at most", compared, guessers*each, slowest)
	if compared > 15 || slowest > time.Second {
		t.Error("the guesses take too much")
	}
}

// A 401 for the token is none for the password: it is for the ration of wakes.
func TestWrongTokenIsNoWrongPassword(t *testing.T) {
	var l log
	opts, _ := withAccess(web.Access{Token: secret})
	opts.Listen, opts.Log = []string{"127.0.0.1:0"}, l.logger()
	opts.WebConfig = lockedBy(t, "password", bcrypt.MinCost)
	url := run(t, opts).urls[0] + actions[0][1]
	c := newClient(t)
	for i := range 15 {
		if got := status(t, c, "POST", url, "anna", "password"); got != 401 {
			t.Errorf("time %d: status %d, want 401", i, got)
		}
	}
	if strings.Contains(l.String(), "password_wrong") {
		t.Errorf("logged:\n%s", &l)
	}
}
