package web_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"

	"nightporter/internal/web"
)

// The token is asked for in words, and once: for a tab, or for the browser.
func TestPageToken(t *testing.T) {
	h := newLiveBackend()
	b := opened(t, h, func(o *web.Options) { o.Access.Token = "open sésame" })
	const asks = `document.getElementById("ask").open && document.activeElement.id === "token"`
	b.Click("[data-key=tower] .do button")
	b.Until(asks)
	if got := b.Text("#ask-why"); got != "Waking requires the token of this porter (http.token in its configuration)." {
		t.Errorf("it asks %q", got)
	}
	b.Press("wrong" + kb.Enter)
	b.Until(`document.getElementById("ask-why").textContent.startsWith("Wrong token.")`)
	b.Until(asks)
	b.Press("open sésame" + kb.Enter)
	says(b, "tower is being woken.")
	b.Go(home)
	b.Until(live)
	b.Click("[data-key=printer] .do button")
	says(b, "printer is being woken.")

	var kept bool
	b.Eval(`localStorage.length === 0 && sessionStorage.length === 1`, &kept)
	if !kept {
		t.Error("the token outlives the tab, and remember is not checked")
	}
	b.Eval("sessionStorage.clear()", nil)
	b.Click("[data-key=desk] .do button")
	b.Until(asks)
	b.Press(kb.Escape)
	b.Until(`!document.getElementById("ask").open`)
	// The close event comes with the next frame. Until then the page ignores a click.
	b.Eval("new Promise(requestAnimationFrame)", nil)
	if got := len(h.Events(0, "desk", 100)); got != 1 {
		t.Error("it was woken without the token")
	}
	b.Click("[data-key=desk] .do button")
	b.Until(asks)
	b.Click("#remember")
	b.Eval(`document.getElementById("token").focus()`, nil)
	b.Press("open sésame" + kb.Enter)
	says(b, "desk is being woken.")
	b.Eval(`localStorage.length === 1 && sessionStorage.length === 0`, &kept)
	if !kept {
		t.Error("the token is not remembered")
	}
}
