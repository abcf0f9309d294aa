//go:build linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// sshWindow is the number of bytes that a peer may send on a session without an answer. It is a
// constant of OpenSSH (CHAN_SES_WINDOW_DEFAULT in channels.h) and of x/crypto/ssh
// (channelWindowSize in channel.go).
const sshWindow = 2 << 20

// Over a link with a long round trip, a stream reaches seven tenths of the lesser of two rates:
// that of a single TCP stream, and that of `ssh host cat`, which the window of ssh bounds. The
// short form, for busy machines, wants half, and a window one step too small would still fail.
// One of a few attempts has to succeed: a busy machine lengthens some round trips more than
// others.
func TestStreamsOverLongLinks(t *testing.T) {
	program := build(t, "traffic")
	want := 0.7
	if testing.Short() {
		want = 0.45
	}
	for _, rtt := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			far, near := farAndNear(t, program)
			if err := far.Shape(lab.Link{RTT: rtt}); err != nil {
				t.Fatal(err)
			}
			t.Logf("the window of ssh allows %.1f MiB/s", sshWindow/rtt.Seconds()/(1<<20))
			missing := []string{"ssh:", "openssh:"}
			for attempt := 0; len(missing) > 0; attempt++ {
				if attempt == 10 {
					t.Fatalf("in 10 attempts the streams by %q were too slow, want the share of ssh's and TCP's rate that the log shows", missing)
				}
				settle := 500*time.Millisecond + 11*rtt
				tcp, cat := tcpRate(t, far, settle), sshRate(t, near, far, 1, settle)
				missing = slices.DeleteFunc(missing, func(carrier string) bool {
					var ours struct{ Down, Up float64 }
					if err := trafficAt(t.Context(), near, &ours, program, carrier+"deploy@"+far.Addr(), "rates", settle.String()); err != nil {
						t.Fatalf("the rates by %s: %v, want no error", carrier, err)
					}
					t.Logf("MiB/s: a TCP stream %.1f, ssh cat %.1f, by %s down %.1f, up %.1f", tcp, cat, carrier, ours.Down, ours.Up)
					return min(ours.Down, ours.Up) > want*min(tcp, cat)
				})
			}
		})
	}
}

// farAndNear makes two hosts. The program runs on near, and can log in to far.
func farAndNear(t *testing.T, program string) (far, near *lab.Running) {
	t.Helper()
	lab.Require(t)
	key := lab.NewClientKey(t)
	far = lab.Start(t, lab.Host{
		Name:  "far",
		Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}},
		SSHD:  &lab.SSHD{},
	})
	near = lab.Start(t, lab.Host{
		Name:  "near",
		Binds: []string{program + ":ro"},
		Files: map[string]string{
			"/root/.ssh/id_ed25519":  key.Private,
			"/root/.ssh/known_hosts": far.KnownHosts(),
		},
		Setup: []string{"chmod 700 /root/.ssh", "chmod 600 /root/.ssh/id_ed25519"},
	})
	return far, near
}

// trafficAt runs testdata/traffic at a host.
func trafficAt(ctx context.Context, host *lab.Running, result any, argv ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	cmd := host.Command(ctx, argv...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, said.String())
	}
	return json.Unmarshal(out.Bytes(), result)
}

// tcpRate returns the throughput of a TCP connection from a host, in MiB/s.
func tcpRate(t *testing.T, from *lab.Running, settle time.Duration) float64 {
	t.Helper()
	l, err := lab.Listen("tcp", net.JoinHostPort(lab.StationIP, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := from.Command(t.Context(), "bash", "-c", "exec cat /dev/zero >/dev/tcp/"+lab.StationIP+"/"+port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // the command ends with the connection
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return rateOf(t, c, settle)
}

// sshRate returns the throughput from a far host of the ssh program, by so many connections
// together, in MiB/s.
func sshRate(t *testing.T, near, far *lab.Running, connections int, settle time.Duration) float64 {
	t.Helper()
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	one := "ssh -o LogLevel=ERROR deploy@" + far.IP() + " cat /dev/zero & "
	cmd := near.Command(t.Context(), "sh", "-c", strings.Repeat(one, connections)+"wait")
	cmd.Stdout = stdout
	err = cmd.Start()
	stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // the command ends with the pipe
	defer out.Close()
	return rateOf(t, out, settle)
}

// rateOf returns the throughput of a reader without end, in MiB/s. It lets the time settle pass
// after the first byte, so that windows open, and then measures for as long.
func rateOf(t *testing.T, r io.Reader, settle time.Duration) float64 {
	t.Helper()
	b := make([]byte, 64<<10)
	count := func() (n float64) {
		for began := time.Now(); time.Since(began) < settle; {
			k, err := r.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			n += float64(k)
		}
		return n
	}
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		t.Fatal(err)
	}
	count()
	return count() / (1 << 20) / settle.Seconds()
}
