package web_test

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

var drawIcons = flag.Bool("draw-icons", false, "draw the icons of the page anew")

// icons are the pictures that devices show for the page, and whether their corners are
// round: some systems cut them themselves.
var icons = []struct {
	name  string
	size  int
	round bool
}{
	{"icon-32.png", 32, true}, {"icon-180.png", 180, false}, {"icon-192.png", 192, true}, {"icon-512.png", 512, true}, {"icon-mask.png", 512, false},
}

// The icons are icon.svg in the sizes that devices ask for.
func TestIcons(t *testing.T) {
	for _, i := range icons {
		want := drawn(i.size, i.round)
		path := filepath.Join("page", i.name)
		if *drawIcons {
			var b bytes.Buffer
			if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, want); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		w := ask(t, new(fakeBackend), "GET", "/"+i.name)
		content := w.Body.Bytes()
		if *drawIcons {
			content, _ = os.ReadFile(path) // the server has the one of before
		}
		got, err := png.Decode(bytes.NewReader(content))
		if err != nil || w.Code != 200 && !*drawIcons {
			t.Fatalf("%s: status %d, %v", i.name, w.Code, err)
		}
		for p := range i.size * i.size {
			x, y := p%i.size, p/i.size
			if got.Bounds() != want.Bounds() || color.NRGBAModel.Convert(got.At(x, y)) != color.Color(want.NRGBAAt(x, y)) {
				t.Errorf("%s is not as drawn: go test ./internal/web -run TestIcons -draw-icons", i.name)
				break
			}
		}
	}
}

// drawn draws icon.svg: a moon, which is a circle without the part of another one, on a
// field with round corners.
func drawn(size int, round bool) *image.NRGBA {
	const samples = 4 // in each direction of a pixel
	field, moon := color.NRGBA{0x1d, 0x24, 0x40, 255}, color.NRGBA{0xf3, 0xd4, 0x8a, 255}
	picture := image.NewNRGBA(image.Rect(0, 0, size, size))
	for p := range size * size {
		x, y := p%size, p/size
		var inField, inMoon int
		for s := range samples * samples {
			u := 32 * (float64(x) + (float64(s%samples)+0.5)/samples) / float64(size)
			v := 32 * (float64(y) + (float64(s/samples)+0.5)/samples) / float64(size)
			switch {
			case round && !inRound(u, v):
			case math.Hypot(u-13.26, v-16.52) < 9 && math.Hypot(u-20.44, v-10.98) > 9:
				inMoon++
			default:
				inField++
			}
		}
		picture.SetNRGBA(x, y, mixed(field, inField, moon, inMoon, samples*samples))
	}
	return picture
}

// inRound reports whether a point is in the square of 32 whose corners are rounded by 7.
func inRound(u, v float64) bool {
	du, dv := max(7-u, u-25, 0), max(7-v, v-25, 0)
	return math.Hypot(du, dv) < 7
}

func mixed(a color.NRGBA, m int, b color.NRGBA, n, all int) color.NRGBA {
	if m+n == 0 {
		return color.NRGBA{}
	}
	part := func(x, y uint8) uint8 { return uint8((int(x)*m + int(y)*n) / (m + n)) }
	return color.NRGBA{part(a.R, b.R), part(a.G, b.G), part(a.B, b.B), uint8(255 * (m + n) / all)}
}
