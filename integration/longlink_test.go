//go:build linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// sshWindow is what OpenSSH and x/crypto/ssh let a peer send on a session
// without having been answered, a constant of both: CHAN_SES_WINDOW_DEFAULT in
// channels.h of the one, channelWindowSize in channel.go of the other.
const sshWindow = 2 << 20

// Over a link with a long round trip a stream is as fast as a single TCP stream
// is there, or as the window of the ssh connection that it goes through allows,
// whichever is less; by more than a fifth it may not fall short of that.
func TestStreamsOverLongLinks(t *testing.T) {
	program := build(t, "traffic")
	for _, rtt := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			t.Parallel() // what limits them is not the machine
			far, near := farAndNear(t, program)
			if err := far.Shape(lab.Link{RTT: rtt}); err != nil {
				t.Fatal(err)
			}
			window := sshWindow / rtt.Seconds() / (1 << 20)
			tcp := tcpRate(t, far)
			t.Logf("MiB/s: a TCP stream %.1f, the window of ssh %.1f", tcp, window)

			var carriers sync.WaitGroup
			defer carriers.Wait()
			for _, path := range []string{"ssh:", "openssh:"} {
				path += "deploy@" + far.Addr()
				carriers.Go(func() {
					var rates struct{ Down, Up float64 }
					if err := trafficAt(t.Context(), near, &rates, program, path, "rates", settle.String()); err != nil {
						t.Errorf("%s: %v", path, err)
						return
					}
					t.Logf("MiB/s by %s: down %.1f, up %.1f", path, rates.Down, rates.Up)
					if least := 0.8 * min(tcp, window); rates.Down < least || rates.Up < least {
						t.Errorf("%s: %.1f MiB/s down and %.1f up are less than %.1f", path, rates.Down, rates.Up, least)
					}
				})
			}
		})
	}
}

// settle is how long windows get to open, of TCP and of streams, and how long is
// measured afterwards.
const settle = 3 * time.Second

// farAndNear make a host, and another one where the program can log in there.
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

// tcpRate is the throughput of a TCP connection from a host, in MiB/s.
func tcpRate(t *testing.T, from *lab.Running) float64 {
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
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := from.Command(ctx, "bash", "-c", "cat /dev/zero >/dev/tcp/"+lab.StationIP+"/"+port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	count := func() (n int64) {
		if err := c.SetReadDeadline(time.Now().Add(settle)); err != nil {
			t.Fatal(err)
		}
		n, _ = io.Copy(io.Discard, struct{ io.Reader }{c}) // until the deadline
		return n
	}
	count()
	return float64(count()) / (1 << 20) / settle.Seconds()
}
