//go:build linux

package tool_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/local"
)

const pressEnter = "Insert your device, then press ENTER."

// asking is a tool that shows a line on its terminal and does something before it starts
// the far side.
func asking(do string) connect.Method {
	return local.Exec{Argv: []string{"sh", "-c", `echo "` + pressEnter + `" >/dev/tty;` + do + `;exec "$@"`, "-"}}
}

// Whether a real tool reads is seen.
func TestAToolThatReadsIsSeen(t *testing.T) {
	for do, want := range map[string]int32{
		"read x </dev/tty":    1,
		"(read x </dev/tty)":  1,
		"head -n 1 </dev/tty": 1,
		"sleep 3":             0,
		"(sleep 3;true)|cat":  0,
		"timeout 3 cat <>/dev/zero >/dev/null||true":                                                0,
		"python3 -c 'import os,select;p=select.poll();p.register(os.pipe()[0],1);p.poll(3000)'":     0,
		"python3 -c 'import select,sys;p=select.poll();p.register(sys.stdin,1);p.poll()' </dev/tty": 1,
	} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(strings.Fields(do)[0]); err != nil && strings.HasPrefix(do, "python3") {
				t.Fatal(err)
			}
			var questions atomic.Int32
			p := connecttest.Far("echo there")
			p.Prompt = func(context.Context, connect.Prompt) (string, error) {
				questions.Add(1)
				return "", nil
			}
			c := connecttest.Open(t, asking(do), p)
			if got := connecttest.ReadAll(t, c); !strings.HasSuffix(got, "there\n") {
				t.Errorf("read %q: %v", got, connecttest.Cause(t, c))
			}
			if got := questions.Load(); got != want {
				t.Errorf("%d questions were asked, want %d", got, want)
			}
		})
	}
}

// An error at a deadline has the tool's last words.
func TestADeadlineShowsWhatTheToolHasSaid(t *testing.T) {
	launch := bootstrap.NewLaunch(bootstrap.Options{})
	p := connecttest.Far("")
	p.CommandLine, p.Argv, p.OpenRequest.Ready = launch.Line(), launch.Argv(), launch.Ready()
	p.Prompt = func(ctx context.Context, _ connect.Prompt) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}
	c := connecttest.Open(t, asking("read x </dev/tty"), p)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := launch.Run(ctx, c)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), pressEnter) {
		t.Errorf("error %v, want the deadline with %q", err, pressEnter)
	}
	if strings.Contains(err.Error(), "start-up file") {
		t.Errorf("error %v blames a start-up file", err)
	}
}
