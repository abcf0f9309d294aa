//go:build !windows

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/client"
)

const brokerText = `
A broker is a process of yours that keeps connections to hosts, and lends them to
other commands and programs, as ssh does with ControlMaster and ControlPersist.
Commands use one that is running, unless --broker=no is given; --broker starts one
where there is none.

  start    start one, and print the path of its socket
  status   what it holds: connections, hosts, clients
  list     its connections, a line each
  reset    connect anew: the present connections of HOST end with their last use
  stop     end it, with all connections; with --idle when nobody uses it any more
  serve    be the broker, in this process

It ends when nobody has used it for --idle-timeout, or when the user logs out where the
system then removes $XDG_RUNTIME_DIR. What a client has started ends with the client.
Its log is broker.log in $XDG_STATE_HOME/mitosis, else in ~/.local/state/mitosis.
`

// brokerTask is the work of "broker".
type brokerTask struct {
	name        string
	idle        time.Duration
	allow       []string
	json        bool
	whenIdle    bool
	maxHostConn int
	watch       int
}

func declareBroker(s *sections) parser {
	t := new(brokerTask)
	f := s.add("Options")
	f.StringVar(&t.name, "name", "", "`NAME`: one of several brokers")
	f.DurationVar(&t.idle, "idle-timeout", 0, "`TIME` without any use after which it ends, such as 1h; less than 0 is never; else 10m, or what the settings say")
	f.StringArrayVar(&t.allow, "allow", nil, "`HOST`: the only hosts that clients may use, and what is beyond them; * stands for part of a hop; may be given several times")
	f.IntVar(&t.maxHostConn, "per-host", 0, "`N` connections to a host at most; else 4")
	f.IntVar(&t.watch, "watch-pid", 0, "`PID`: a process with which the broker ends, at once, instead of for idleness")
	f.BoolVar(&t.json, "json", false, "status and list as JSON")
	f.BoolVar(&t.whenIdle, "idle", false, "stop when nobody uses it any more")
	return func(w words) (job, error) {
		all := w.all()
		if len(all) == 0 {
			return nil, errors.New("give start, status, list, reset, stop or serve")
		}
		verb, rest := all[0], all[1:]
		if verb == "reset" {
			if len(rest) != 1 {
				return nil, errors.New("reset: give one HOST")
			}
			return t.resetJob(rest[0])
		}
		if len(rest) > 0 {
			return nil, tooMany(rest[0])
		}
		jobs := map[string]func(out, errOut io.Writer) int{"start": t.start, "serve": t.serve, "status": t.status, "list": t.list, "stop": t.stop}
		do := jobs[verb]
		if do == nil {
			return nil, fmt.Errorf("there is no %q: give start, status, list, reset, stop or serve", verb)
		}
		return do, nil
	}
}

// serveArgs are the arguments of a process that serves.
func (t *brokerTask) serveArgs() []string {
	args := []string{"broker", "serve"}
	if t.name != "" {
		args = append(args, "--name="+t.name)
	}
	if t.idle != 0 {
		args = append(args, "--idle-timeout="+t.idle.String())
	}
	if t.maxHostConn > 0 {
		args = append(args, fmt.Sprintf("--per-host=%d", t.maxHostConn))
	}
	if t.watch > 0 {
		args = append(args, fmt.Sprintf("--watch-pid=%d", t.watch))
	}
	for _, a := range t.allow {
		args = append(args, "--allow="+a)
	}
	return args
}

// spawn starts a broker in the background.
func (t *brokerTask) spawn(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return broker.Spawn(ctx, append([]string{self}, t.serveArgs()...))
}

func (t *brokerTask) start(out, errOut io.Writer) int {
	if err := t.spawn(context.Background()); err != nil {
		return complain(errOut, err, exitError)
	}
	fmt.Fprintln(out, broker.SocketPath(t.name))
	return 0
}

func (t *brokerTask) serve(_, errOut io.Writer) int {
	log, level, err := brokerLog(strings.TrimSuffix(t.name, fmt.Sprintf("-%d", t.watch)))
	if err != nil {
		return complain(errOut, err, exitError)
	}
	defer log.Close()
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(logger)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// The terminal of the one who started it may go.
	signal.Ignore(syscall.SIGHUP)
	cfg := &broker.Config{
		Name: t.name, Program: "mitosis " + version(), Idle: cmp.Or(t.idle, inForce.BrokerIdle), Allow: t.allow,
		Tree: &contexts.Config{Log: logger, LogLevel: level, Images: agents(), Cache: inForce.Cache, PackedDir: inForce.PackedCache},
	}
	cfg.Pool.PerHost = t.maxHostConn
	if t.watch > 0 {
		watched, end, err := untilProcessEnds(ctx, t.watch)
		if err != nil {
			return complain(errOut, err, exitError)
		}
		defer end()
		// The name is that of the process, for which nobody starts a broker any more. So the
		// lock can go, which others leave.
		defer func() {
			if watched.Err() != nil {
				_ = os.Remove(strings.TrimSuffix(broker.SocketPath(t.name), ".sock") + ".lock")
			}
		}()
		ctx, cfg.Idle = watched, cmp.Or(t.idle, -1)
	}
	if err := broker.ServeSpawned(ctx, cfg); err != nil && ctx.Err() == nil {
		logger.Error("the broker has failed", "err", err)
		return complain(errOut, err, exitError)
	}
	return 0
}

// brokerLog opens the broker's log, which is bounded: 1 MB, and as much of what was before.
func brokerLog(name string) (io.WriteCloser, slog.Level, error) {
	level := min(inForce.Log, slog.LevelInfo)
	dir, err := stateDir()
	if err != nil {
		return nil, 0, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, 0, err
	}
	file := "broker.log"
	if name != "" {
		file = "broker-" + name + ".log"
	}
	return &lumberjack.Logger{Filename: filepath.Join(dir, file), MaxSize: 1, MaxBackups: 1}, level, nil
}

// ask asks the broker, which must be running.
func (t *brokerTask) ask(errOut io.Writer, do func(context.Context, *client.Client) error) int {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, broker.SocketPath(t.name))
	if err == nil {
		err = errors.Join(do(ctx, c), c.Close())
	}
	if err != nil {
		return complain(errOut, err, exitError)
	}
	return 0
}

func (t *brokerTask) status(out, errOut io.Writer) int {
	return t.withStatus(errOut, func(s *broker.Status) error {
		if t.json {
			return json.NewEncoder(out).Encode(s)
		}
		printStatus(out, s)
		return nil
	})
}

func (t *brokerTask) list(out, errOut io.Writer) int {
	return t.withStatus(errOut, func(s *broker.Status) error {
		for i := range s.Connections {
			if !t.json {
				fmt.Fprintln(out, dash(s.Connections[i].Label))
			} else if err := json.NewEncoder(out).Encode(&s.Connections[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// withStatus asks the broker what it holds, and shows it.
func (t *brokerTask) withStatus(errOut io.Writer, show func(*broker.Status) error) int {
	return t.ask(errOut, func(ctx context.Context, c *client.Client) error {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		return show(s)
	})
}

func (t *brokerTask) stop(_, errOut io.Writer) int {
	return t.ask(errOut, func(ctx context.Context, c *client.Client) error { return c.Stop(ctx, t.whenIdle) })
}

func (t *brokerTask) resetJob(host string) (job, error) {
	if _, err := parsePath(host); err != nil {
		return nil, err
	}
	return func(_, errOut io.Writer) int {
		return t.ask(errOut, func(ctx context.Context, c *client.Client) error { return c.Reset(ctx, host) })
	}, nil
}

// printStatus prints what a broker holds, for people.
func printStatus(out io.Writer, s *broker.Status) {
	fmt.Fprintf(out, "%s, pid %d, since %s, %d requests\nsocket %s\n", s.Program, s.PID, s.Since.Local().Format(time.DateTime), s.Requests, s.Socket)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Connections) > 0 {
		fmt.Fprintln(w, "\nCONNECTION\tPOOL\tSTATE\tUSES\tEVER\tAGE\tIDLE\tRTT\tSENT\tREAD")
	}
	for _, c := range s.Connections {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", dash(c.Label), dash(c.Pool), c.State, c.Uses, c.Leases,
			shortTime(c.Age), shortTime(c.Idle), shortTime(c.RTT), size(float64(c.BytesSent)), size(float64(c.BytesRead)))
	}
	_ = w.Flush()
	for _, h := range s.Hosts {
		if h.Waiting > 0 {
			fmt.Fprintf(out, "%d wait for %s\n", h.Waiting, h.Path)
		}
		if h.Refusal != "" {
			fmt.Fprintf(out, "%s lets in %d: %s\n", h.Path, h.Bound, h.Refusal)
		}
	}
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Clients) > 0 {
		fmt.Fprintln(w, "\nCLIENT\tPID\tREQUEST\tHOST\tFOR")
	}
	for _, c := range s.Clients {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", dash(c.Name), c.PID, dash(c.Op), dash(c.Path), shortTime(c.For))
	}
	_ = w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

// shortTime writes seconds with three digits or so.
func shortTime(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d == 0:
		return "-"
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Second).String()
}
