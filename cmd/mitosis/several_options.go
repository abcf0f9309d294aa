package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// severalOptions say how a command goes about several hosts.
type severalOptions struct {
	command string

	batch          []string
	stopAt         string
	fanOut         int
	connectTimeout time.Duration
	timeout        time.Duration
	shuffle        bool
	retry          int
	retryFailed    string
	unknownToo     bool
	dryRun         bool
	gather         bool
	json           bool
	quiet          bool

	asked     *asked // nil: the run is not recorded
	batches   []fleet.Share
	stopAbove *fleet.Share
}

// declare declares the options. Those that fit one host, too, are the last ones.
func (o *severalOptions) declare(s *sections, command string) *pflag.FlagSet {
	o.command = command
	s.several = o
	f := s.add("Several hosts")
	f.StringArrayVar(&o.batch, "batch", nil, "`N|P%`: so many hosts, one batch after the other; given several times, the sizes of the first ones, as --batch 1 --batch 10%")
	f.StringVar(&o.stopAt, "stop-at", "", "`N|P%`: begin with no more hosts when so many have failed")
	f.IntVarP(&o.fanOut, "fanout", "f", 0, "`N`: how many at once; else 32 for each processor, at most 256")
	f.BoolVar(&o.shuffle, "shuffle", false, "in a random order")
	f.IntVar(&o.retry, "retry", 0, "`N`: try a host that can't be reached N more times")
	f.StringVar(&o.retryFailed, "retry-failed", "", "`RUN`: the same once more, for the hosts that RUN failed on or has not tried; options that are given count more than its own")
	f.BoolVar(&o.unknownToo, "unknown-too", false, "with --retry-failed: also where RUN was killed in the middle, so that it may be done already")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress and no summary")
	f.BoolVar(&o.dryRun, "dry-run", false, "tell what would be done, and connect nothing")
	f.DurationVar(&o.connectTimeout, "connect-timeout", 0, "`TIME`: how long connecting a host may take, such as 20s; else 2m")
	f.DurationVar(&o.timeout, "timeout", 0, "`TIME`: how long it may take on a host, once that is connected; else for ever")
	return f
}

// check reads the shares. It reports whether an option was given that is about several hosts.
func (o *severalOptions) check() (given bool, err error) {
	for _, text := range o.batch {
		share, err := fleet.ParseShare(text)
		if err == nil && share == (fleet.Share{}) {
			err = errors.New("a batch has at least one host")
		}
		if err != nil {
			return false, fmt.Errorf("--batch: %w", err)
		}
		o.batches = append(o.batches, share)
	}
	if o.stopAt != "" {
		share, err := fleet.ParseShare(o.stopAt)
		if err == nil && share == (fleet.Share{}) {
			err = errors.New("0 would stop before the first")
		}
		if err != nil {
			return false, fmt.Errorf("--stop-at: %w", err)
		}
		o.stopAbove = &share
	}
	switch {
	case o.fanOut < 0 || o.retry < 0 || o.timeout < 0 || o.connectTimeout < 0:
		return false, errors.New("numbers and times below 0 make no sense here")
	case o.unknownToo && o.retryFailed == "":
		return false, errors.New("--unknown-too goes with --retry-failed")
	case o.gather && o.json:
		return false, errors.New("-b and --json are two forms of the same")
	}
	return len(o.batch) > 0 || o.stopAt != "" || o.fanOut > 0 || o.shuffle || o.retry > 0 || o.gather || o.json || o.retryFailed != "", nil
}

// jobFor chooses the hosts and returns the job for one or for many of them, or the dry run. what
// says what would be done, and asJSON how that is printed.
func (o *severalOptions) jobFor(of *hostOptions, paths []string, what string, asJSON bool, one func([]connect.Method) job, many func(*hosts) (job, error)) (job, error) {
	h, err := of.choose(paths)
	if err != nil {
		return nil, err
	}
	asked, err := o.check()
	switch {
	case err != nil:
		return nil, err
	case o.dryRun:
		return dryRun(h, what, asJSON), nil
	case h.one && !asked:
		return one(h.single()), nil
	}
	return many(h)
}

// policy returns the options for package fleet.
func (o *severalOptions) policy(s *several) fleet.Policy {
	p := fleet.Policy{
		FanOut: cmp.Or(o.fanOut, inForce.FanOut), Shuffle: o.shuffle, ConnectTimeout: o.connectBound(), Timeout: o.timeout,
		Retry: fleet.Retry{Attempts: o.retry + 1}, Batches: o.batches, StopAbove: below(o.stopAbove, s.hosts.set.Len()),
		Journal: watcher{several: s}, Name: s.what,
	}
	if s.record != nil {
		p.Journal = watcher{s, s.record.journal}
	}
	return p
}

// below returns the share above which --stop-at stops: "at 2" is "above 1".
func below(at *fleet.Share, members int) *fleet.Share {
	if at == nil {
		return nil
	}
	n := at.N
	if n == 0 {
		n = max(1, ceil(at.Percent/100*float64(members)))
	}
	return &fleet.Share{N: n - 1}
}

// ceil rounds up, but for what is behind the precision of a percentage.
func ceil(x float64) int {
	n := int(x)
	if x-float64(n) > 1e-9 {
		n++
	}
	return n
}

var (
	errConnectTimeout = fmt.Errorf("the time for connecting (--connect-timeout, connect_timeout) is over: %w", context.DeadlineExceeded)
	errTimeout        = fmt.Errorf("the time for the work, --timeout, is over: %w", context.DeadlineExceeded)
)

// connectBound is how long connecting one host may take, by the option or by the settings; 0 if
// neither says so.
func (o *severalOptions) connectBound() time.Duration {
	if o == nil {
		return inForce.ConnectTimeout
	}
	return cmp.Or(o.connectTimeout, inForce.ConnectTimeout)
}

// whileConnecting bounds the time for connecting one host. Without a setting that has no bound:
// a person can end it.
func (o *severalOptions) whileConnecting(ctx context.Context) (context.Context, context.CancelFunc) {
	bound := o.connectBound()
	if bound == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, bound, errConnectTimeout)
}

// whileWorking bounds the time for the work at one host.
func (o *severalOptions) whileWorking(ctx context.Context) (context.Context, context.CancelFunc) {
	if o == nil || o.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.timeout, errTimeout)
}
