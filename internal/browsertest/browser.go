package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	program = "chromium"
	// startLimit bounds the start of a browser, which is slow on a busy machine.
	startLimit = time.Minute
	// waitLimit bounds the wait for a state of the page.
	waitLimit = 20 * time.Second
)

// Pictures names the environment variable with the directory for screenshots. Without
// it, tests take screenshots and discard them.
const Pictures = "SCREENSHOTS"

// Need skips the test under -short and where there is no browser. In CI, a missing
// browser fails the test: a skip would hide that nothing was tested.
func Need(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("not tested: a browser test, and -short is set")
	}
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		tb.Fatalf("no %s in PATH: expected Debian's package of that name: %v", program, err)
	default:
		tb.Skipf("not tested: no %s in PATH: %v", program, err)
	}
}

// Browser is a browser with one page open. A method that fails ends the test.
type Browser struct {
	tb    testing.TB
	ctx   context.Context
	proxy *proxy

	mu         sync.Mutex
	complaints []string
	hosts      []string // each once
}

// observer runs in each page before the page's own scripts.
const observer = `
window.observed = {shifts: [], violations: []};
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) {
    observed.shifts.push({value: e.value, who: e.sources.map((s) => s.node?.parentElement?.outerHTML?.slice(0, 100) ?? "").join(" ")});
  }
}).observe({type: "layout-shift", buffered: true});
document.addEventListener("securitypolicyviolation", (e) => observed.violations.push(e.violatedDirective + " " + e.blockedURI));
`

// Open starts a browser that ends with the test. The browser reaches hosts through dial.
func Open(tb testing.TB, dial Dial) *Browser {
	tb.Helper()
	Need(tb)
	b := &Browser{tb: tb, proxy: newProxy(tb, dial)}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(program), chromedp.UserDataDir(tb.TempDir()), chromedp.WSURLReadTimeout(startLimit),
		chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.DisableGPU,
		// By default the kernel kills the browser together with the thread that started
		// it, and the lab ends threads.
		chromedp.ModifyCmdFunc(func(*exec.Cmd) {}),
		// The proxy also serves requests to the loopback interface.
		chromedp.ProxyServer(b.proxy.url), chromedp.Flag("proxy-bypass-list", "<-loopback>"),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-features", "OptimizationHints,MediaRouter,Translate"),
	)
	// The cleanup below closes the browser, so that it no longer writes to its
	// directory when the test removes it.
	alone, end := chromedp.NewExecAllocator(context.WithoutCancel(tb.Context()), options...)
	quiet := func(string, ...any) {} // ignores messages of a newer Chromium that the library does not know
	ctx, closePage := chromedp.NewContext(alone, chromedp.WithErrorf(quiet), chromedp.WithLogf(quiet))
	tb.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it may have failed to start
		closePage()
		end()
	})
	b.ctx = ctx
	chromedp.ListenTarget(ctx, b.hear)
	b.do(log.Enable(), runtime.Enable(), network.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(observer).Do(ctx)
		return err
	}))
	return b
}

// hear records the errors, warnings and console messages of a page.
func (b *Browser) hear(event any) {
	var text string
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			text = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		b.note(e.Request.URL)
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Error()
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("console.%s", e.Type)
		for _, a := range e.Args {
			text += " " + string(a.Value)
		}
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, text)
	}
}

// note records the host that a page requests.
func (b *Browser) note(address string) {
	host := address
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.hosts, host) {
		b.hosts = append(b.hosts, host)
	}
}

func (b *Browser) do(actions ...chromedp.Action) {
	b.tb.Helper()
	if err := b.try(startLimit, actions...); err != nil {
		b.tb.Fatal(err)
	}
}

// try runs actions. The first context with which a browser is used starts it, and
// ends it, so the limit is kept beside it.
func (b *Browser) try(limit time.Duration, actions ...chromedp.Action) error {
	done := make(chan error, 1)
	go func() { done <- chromedp.Run(b.ctx, actions...) }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("the browser does not answer within %v", limit)
	case <-b.tb.Context().Done():
		return b.tb.Context().Err()
	}
}

// Go opens an address, whose host may then be asked for more.
func (b *Browser) Go(address string) {
	b.tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.proxy.allow(u.Host)
	b.do(chromedp.Navigate(address))
}

// Eval evaluates a JavaScript expression, awaits it if it is a promise, and stores
// what it says.
func (b *Browser) Eval(expression string, into any) {
	b.tb.Helper()
	b.do(chromedp.Evaluate(expression, into, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
		return p.WithAwaitPromise(true)
	}))
}

// Text returns what an element shows, in one line.
func (b *Browser) Text(selector string) string {
	b.tb.Helper()
	var text string
	b.Eval(fmt.Sprintf("document.querySelector(%q)?.innerText ?? '(no such element)'", selector), &text)
	return strings.Join(strings.Fields(text), " ")
}

// Until waits for a JavaScript expression to be true.
func (b *Browser) Until(expression string) {
	b.tb.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(waitLimit)
	for {
		var yes bool
		b.Eval("Boolean("+expression+")", &yes)
		if yes {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			b.tb.Fatalf("not within %v: %s\nthe page says:\n%s\nit complains: %q", waitLimit, expression, b.Text("body"), b.Complaints())
		case <-b.tb.Context().Done():
			b.tb.Fatal(b.tb.Context().Err())
		}
	}
}

// Click clicks on an element with the mouse.
func (b *Browser) Click(selector string) {
	b.tb.Helper()
	b.do(chromedp.Click(selector, chromedp.ByQuery))
}

// Press types on the keyboard; package kb of chromedp names the keys without a
// letter.
func (b *Browser) Press(keys string) {
	b.tb.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// Look has the browser show pages in so many pixels, dark or light.
func (b *Browser) Look(width, height int64, dark bool) {
	b.tb.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do(chromedp.EmulateViewport(width, height),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// Scripts says whether pages may run scripts from the next one on.
func (b *Browser) Scripts(allowed bool) {
	b.tb.Helper()
	b.do(emulation.SetScriptExecutionDisabled(!allowed))
}

// Picture takes a picture of the whole page, named NAME.png, or of what is in view.
func (b *Browser) Picture(name string, whole bool) {
	b.tb.Helper()
	var picture []byte
	b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		picture, err = page.CaptureScreenshot().WithCaptureBeyondViewport(whole).Do(ctx)
		return err
	}))
	if len(picture) == 0 {
		b.tb.Errorf("the picture %s is empty", name)
	}
	dir := os.Getenv(Pictures)
	if dir == "" {
		return
	}
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		b.tb.Error(err)
	}
}

// Shift returns how much has moved in the page without user input: the sum of
// the layout shifts (the Layout Instability API), and what moved.
func (b *Browser) Shift() (sum float64, what []string) {
	b.tb.Helper()
	var shifts []struct {
		Value float64
		Who   string
	}
	b.Eval("observed.shifts", &shifts)
	for _, s := range shifts {
		sum += s.Value
		what = append(what, fmt.Sprintf("%.4f %s", s.Value, s.Who))
	}
	return sum, what
}

// Complaints returns what the browser and the page complained of: errors, warnings,
// whatever was written to the console, and violations of the policy.
func (b *Browser) Complaints() []string {
	b.tb.Helper()
	var violations []string
	b.Eval("window.observed?.violations ?? []", &violations)
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(slices.Clone(b.complaints), violations...)
}

// Hosts returns the hosts that pages have asked for anything, each once.
func (b *Browser) Hosts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.hosts)
}

// Sever cuts the browser off from the network.
func (b *Browser) Sever() { b.proxy.sever() }

// Mend is the inverse of Sever.
func (b *Browser) Mend() { b.proxy.mend() }
