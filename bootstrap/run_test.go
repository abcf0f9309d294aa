//go:build linux

package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/core"
)

func TestErrorsNameThePhaseAndWhatWasSaid(t *testing.T) {
	for name, test := range map[string]struct {
		script string // what stands before, or in place of, the first stage
		phase  Phase
		want   []string
		is     error
	}{
		"no such command": {
			"echo 'sh: mitosis: not found'; exit 127", PhaseFirstStage,
			[]string{"waiting for the first stage", "exit status 127", "sh: mitosis: not found"}, nil,
		},
		"silence": {"sleep 1000", PhaseFirstStage, []string{"waiting for the first stage", "has said nothing"}, context.DeadlineExceeded},
		"too much noise": {
			"tr '\\000' x </dev/zero", PhaseFirstStage, []string{"xxxx"}, ErrNoise,
		},
		"ends without a word": {"exit 0", PhaseFirstStage, nil, io.ErrUnexpectedEOF},
		"garbage for a hello": {
			"printf '\\n%s go\\nThis is no frame at all, is it?' $MARKER; sleep 1000", PhaseHello, nil, core.ErrProtocol,
		},
		"silence for a hello": {"printf '\\n%s go\\n' $MARKER; sleep 1000", PhaseHello, nil, context.DeadlineExceeded},
		"ends before the hello": {
			"printf '\\n%s go\\n' $MARKER; echo 'out of memory' >&2; exit 5", PhaseHello, []string{"exit status 5", "out of memory"}, nil,
		},
		"ends in the image": {
			"printf '\\n%s hi 1 Linux x86_64 0 perl gzip head / .\\n' $MARKER; head -c 1000 >/dev/null; exit 6", PhaseImage, []string{"exit status 6"}, nil,
		},
		"takes nothing of the image": {
			"printf '\\n%s hi 1 Linux x86_64 0 perl gzip head / .\\n' $MARKER; sleep 1000", PhaseImage, nil, context.DeadlineExceeded,
		},
		"facts that lie": {
			"while :; do printf '\\n%s hi 1 lies .\\n' $MARKER; done", PhaseFirstStage, nil, ErrNoise,
		},
		"failing for ever": {
			"printf '\\n%s hi 1 Linux x86_64 0 perl gzip head / .\\n' $MARKER; cat >/dev/null & while :; do printf '\\n%s no memfd-perl x\\n' $MARKER; done", "", nil, ErrNoise,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := 10 * time.Second
			if errors.Is(test.is, context.DeadlineExceeded) {
				limit = 300 * time.Millisecond
			}
			if strings.Contains(name, "image") || name == "failing for ever" {
				image.Own() // packing is not what is timed here
				img, _ := image.Own()
				img.Encoded(t.Context(), image.Gzip, nil)
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			l := NewLaunch(opts())
			c := start(t, exec.Command("/bin/sh", "-c", "MARKER="+l.marker+";"+test.script))
			pids := tree(c.cmd.Process.Pid)
			// What the carrier promises of Close.
			killed := &killing{c}
			_, err := l.Run(ctx, killed)
			if err == nil {
				t.Fatal("a child was born")
			}
			t.Log(err)
			e, ok := errors.AsType[*Error](err)
			if !ok || test.phase != "" && e.Phase != test.phase {
				t.Errorf("phase %+v", e)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error is not %v", test.is)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q", want)
				}
			}
			gone(t, pids)
		})
	}
}

// reading is a carrier to a shell whose profile reads to the end of its input: the
// first stage speaks when that has come.
type reading struct {
	said   io.Reader
	closed chan struct{} // by Close
	once   sync.Once
}

func (r *reading) Read(b []byte) (int, error) {
	<-r.closed
	return r.said.Read(b)
}

func (r *reading) Write(b []byte) (int, error) {
	select {
	case <-r.closed:
		return 0, io.ErrClosedPipe
	default:
		return len(b), nil
	}
}

func (r *reading) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

func (r *reading) Cause(context.Context) error { return nil }

// What a far side says only when it has been given up does not change what was
// waited for.
func TestPhaseIsThatOfTheEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	l := NewLaunch(opts())
	said := "\n" + l.marker + " hi 1 Linux x86_64 0 perl gzip head / .\n"
	_, err := l.Run(ctx, &reading{said: strings.NewReader(said), closed: make(chan struct{})})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Phase != PhaseFirstStage || e.StartMethod != "" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want a deadline in the phase %q", err, PhaseFirstStage)
	}
}

// killing is a carrier whose Close kills.
type killing struct{ *procCarrier }

func (k *killing) Close() error {
	syscall.Kill(-k.cmd.Process.Pid, syscall.SIGKILL) // its session
	return k.procCarrier.Close()
}

func TestCancelAtAnyMoment(t *testing.T) {
	img, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	img.Encoded(t.Context(), image.Zstd, nil)
	for i := range 60 {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the user has had enough")
		o := opts()
		if i%3 == 0 {
			o = remembered(t, StartPerl)
		}
		l := NewLaunch(o)
		c := start(t, l.command())
		pid := c.cmd.Process.Pid
		timer := time.AfterFunc(rand.N(60*time.Millisecond), func() { cancel(why) })
		s, err := l.Run(ctx, c)
		timer.Stop()
		cancel(nil)
		pids := tree(pid)
		if err == nil {
			answersAfter := s.Welcome(Welcome{Path: "test"})
			if answersAfter != nil {
				t.Errorf("a child that Run returned is dead: %v", answersAfter)
			}
			s.Link.Close()
		} else if !errors.Is(err, why) {
			t.Error(err)
		}
		gone(t, pids)
	}
}

func TestFingerprintMismatch(t *testing.T) {
	l := NewLaunch(Options{Fingerprint: [32]byte{9}})
	_, err := l.Run(bound(t), start(t, l.direct()))
	if !errors.Is(err, ErrFingerprint) || !strings.Contains(err.Error(), "010203") {
		t.Error(err)
	}
}

func TestProbe(t *testing.T) {
	needRoot(t)
	for name, test := range map[string]struct {
		has    []string
		before string
		change func(o *Options)
		method string
		works  []string // the start methods that do, and one of their places each
		lacks  []string // what the others lack
	}{
		"everything": {
			has:    []string{"perl", "python3", "unshare"},
			method: StartPerl,
			works:  []string{"memfd-perl: /", "memfd-python3: /", "ram: /dev/shm", "tmpfs: /mnt", "disk: /var/tmp"},
			lacks:  []string{"exec: the far side is not this host, or its user may not read this program", "cache: not asked for"},
		},
		"nothing but a disk": {
			has: []string{"python3"}, before: noMemory, method: StartPython,
			change: func(o *Options) { o.StartMethods = []string{StartPython, StartRAM, StartDisk} },
			works:  []string{"memfd-python3: /", "disk: /var/tmp"},
			lacks: []string{"memfd-perl: not among the start methods that are allowed",
				"ram: /dev/shm: execution not allowed, Permission denied", "tmpfs: not among the start methods that are allowed"},
		},
		"this host": {
			change: func(o *Options) { o.Same, o.Cache, o.NoDisk = true, true, true }, method: StartExec,
			works: []string{"exec: /proc/", "ram: /dev/shm"},
			lacks: []string{"cache: " + cacheHasNot, "memfd-perl: no interpreter: perl not found",
				"memfd-python3: no interpreter: python3 not found", "tmpfs: unshare not found", "disk: not allowed to write to a disk"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tools(t, append(append([]string{}, basics...), test.has...)...)
			if test.before != "" {
				test.before = "mkdir -p /opt; mount -t tmpfs none /opt && cp -a " + dir + "/. /opt/;" + test.before
				dir = "/opt"
			}
			o := opts()
			o.Probe = true
			if test.change != nil {
				test.change(&o)
			}
			l := NewLaunch(o)
			cmd := l.in(dir, test.before)
			cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "XDG_RUNTIME_DIR=")
			c := start(t, cmd)
			offer, err := l.Probe(bound(t), c)
			if err != nil {
				t.Fatal(err)
			}
			if f := offer.Facts; f.GOOS() != "linux" || f.Machine == "" || !f.has("head") || offer.StartMethod() != test.method {
				t.Errorf("the probe found %+v, want facts of Linux and the start method %q", offer, test.method)
			}
			var works, lacks []string
			for _, r := range offer.StartMethods {
				if r.Lacks == "" {
					works = append(works, r.StartMethod+": "+r.Where)
				} else {
					lacks = append(lacks, r.StartMethod+": "+r.Lacks)
				}
			}
			for _, want := range test.works {
				if !slices.ContainsFunc(works, func(s string) bool { return strings.HasPrefix(s, want) }) {
					t.Errorf("%q is not among what works: %q", want, works)
				}
			}
			for _, want := range test.lacks {
				if !slices.Contains(lacks, want) {
					t.Errorf("%q is not among what is lacking: %q", want, lacks)
				}
			}
			gone(t, []int{c.cmd.Process.Pid})
			for _, dir := range []string{"/dev/shm", "/run", "/tmp", "/var/tmp"} {
				if left, _ := filepath.Glob(dir + "/.mitosis-" + l.marker + "*"); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
			}
		})
	}
}

// What would be used is what is used.
func TestProbeFindsTheImageInTheCache(t *testing.T) {
	f := newFar(t)
	probe := func() ProbeResult {
		o := opts()
		o.Cache, o.Probe = true, true
		l := NewLaunch(o)
		cmd := exec.Command("/bin/sh", "-c", l.Line())
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+f.home)
		offer, err := l.Probe(bound(t), start(t, cmd))
		if err != nil {
			t.Fatal(err)
		}
		return offer
	}
	if offer := probe(); offer.StartMethod() == StartCache || offer.StartMethods[1].Lacks != cacheHasNot {
		t.Errorf("the probe found %+v, want an empty cache", offer)
	}
	if _, kept, _ := f.contact(t, opts(), true); kept != keptWell {
		t.Fatal(kept)
	}
	if offer := probe(); offer.StartMethod() != StartCache || offer.StartMethods[1].Where != f.image(t) {
		t.Errorf("the probe found %+v, want the image in the cache", offer)
	}
	if err := os.Chmod(f.image(t), 0o777); err != nil {
		t.Fatal(err)
	}
	if offer := probe(); offer.StartMethod() == StartCache || offer.StartMethods[1].Lacks != "the file in the cache can't be used" {
		t.Errorf("the probe found %+v, want a file in the cache that can't be used", offer)
	}
}

func TestTwoRoundTrips(t *testing.T) {
	o := opts()
	o.StartMethods = []string{StartPerl}
	l := NewLaunch(o)
	c := &counting{Carrier: start(t, l.command())}
	s, err := l.Run(bound(t), c)
	if err != nil {
		t.Fatal(err)
	}
	s.Link.Close()
	if c.turns != 2 {
		t.Errorf("%d times bytes came after bytes had been sent", c.turns)
	}
}

// counting counts how often the direction turned toward us: for the first
// stage's line, and for what follows each plan. The image behind a plan is not a
// turn of its own.
type counting struct {
	Carrier
	mu    sync.Mutex
	turns int
	heard bool // since the last plan
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Carrier.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 && !c.heard {
		c.turns++
		c.heard = true
	}
	return n, err
}

var aPlan = regexp.MustCompile(`^\n[0-9a-f]{16} `)

func (c *counting) Write(b []byte) (int, error) {
	if aPlan.Match(b) {
		c.mu.Lock()
		c.heard = false
		c.mu.Unlock()
	}
	return c.Carrier.Write(b)
}

// On the same host an image is not worth packing.
func TestNearImageIsNotPacked(t *testing.T) {
	img, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	for _, near := range []bool{true, false} {
		o := opts()
		o.Near = near
		l := NewLaunch(o)
		c := &weighing{Carrier: start(t, l.command())}
		answers(t, born(t, l, c, ""))
		if raw := c.written.Load() > img.Size; raw != near {
			t.Errorf("near %v: %d bytes for an image of %d", near, c.written.Load(), img.Size)
		}
	}
}

// weighing counts the bytes that are written to the far side.
type weighing struct {
	Carrier
	written atomic.Int64
}

func (w *weighing) Write(b []byte) (int, error) {
	n, err := w.Carrier.Write(b)
	w.written.Add(int64(n))
	return n, err
}

// That an image was under way for long says that something was busy, not that packing
// it again would help: the next connect sends the same bytes at once.
func TestSlowConnectIsFollowedByTheSameImage(t *testing.T) {
	dir := tools(t, slices.Concat(basics, []string{"perl", "gzip"})...)
	launch := func(delay time.Duration) int64 {
		l := NewLaunch(opts())
		c := &weighing{Carrier: &hesitating{Carrier: start(t, l.in(dir, "")), delay: delay}}
		answers(t, born(t, l, c, ""))
		return c.written.Load()
	}
	img, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := img.Encoded(t.Context(), image.Gzip, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, delay := range []time.Duration{time.Second, 0, 0} {
		if more := launch(delay) - int64(len(packed)); more < 0 || more > 8<<10 {
			t.Errorf("connect %d sent %d bytes beside an image of %d, want the image and a plan below 8 KiB", i, more, len(packed))
		}
	}
}

// On a slow line the best packing is worth waiting for.
func TestSlowLineGetsTheBestPacking(t *testing.T) {
	dir := tools(t, slices.Concat(basics, []string{"perl", "gzip"})...)
	o := opts()
	o.Slow = true
	kept := filepath.Join(t.TempDir(), "packed")
	o.Packed = image.NewPackedDir(kept)
	l := NewLaunch(o)
	answers(t, born(t, l, start(t, l.in(dir, "")), ""))
	img, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	pattern := fmt.Sprintf("%x-*.%v", img.Hash, image.Gzip)
	if files, _ := filepath.Glob(filepath.Join(kept, pattern)); len(files) != 1 {
		t.Errorf("%v are files like %s, want the one of the best packing, made before the image was sent", files, pattern)
	}
}

// hesitating waits before an image.
type hesitating struct {
	Carrier
	delay time.Duration
	once  sync.Once
}

func (h *hesitating) Write(b []byte) (int, error) {
	if ofImage(b) {
		h.once.Do(func() { time.Sleep(h.delay) })
	}
	return h.Carrier.Write(b)
}
