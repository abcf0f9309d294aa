//go:build !windows

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/cmd/internal/settings"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/client"
)

// brokerChoice is what --broker says: whether to go through a broker. Empty: the settings say it.
var brokerChoice string

// declareBrokerChoice declares the option. Without a value it is "yes".
func declareBrokerChoice(f *pflag.FlagSet) {
	brokerChoice = ""
	onValue(f, "broker", "", "`yes|no|auto`: go through a broker, which is started if need be; through none; or through one that runs (see mitosis help broker)", func(s string) error {
		switch settings.Choice(s) {
		case settings.Yes, settings.No, settings.Auto:
			brokerChoice = s
			return nil
		}
		return errors.New("it is yes, no or auto")
	})
	f.Lookup("broker").NoOptDefVal = string(settings.Yes)
}

// throughBroker says whether to go through a broker.
func throughBroker() settings.Choice {
	if brokerChoice != "" {
		return settings.Choice(brokerChoice)
	}
	return inForce.Broker
}

// dialBroker connects hops by the broker, if it is wanted and there is one: the node is nil where
// the hops are to be made from here.
func dialBroker(ctx, connecting context.Context, hops []connect.Method) (*contexts.Node, func() error, error) {
	choice := throughBroker()
	if choice == settings.No {
		return nil, nil, nil
	}
	c, err := joinBroker(connecting, choice)
	if c == nil || err != nil {
		return nil, nil, err
	}
	lease, err := c.GetHops(connecting, "", hops...)
	if err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	return lease.Node(), func() error {
		if c.Broker().Err() != nil {
			return errBrokerGone
		}
		return c.Close()
	}, nil
}

// errBrokerGone is the end of a session whose broker was killed or told to stop.
var errBrokerGone = errors.New("the broker has ended, and what ran by it with it; the next call makes its own connection, or with --broker starts another broker")

// joinBroker joins the broker's tree. The client is nil where there is no broker, or one of another
// build, and none is to be started.
func joinBroker(ctx context.Context, choice settings.Choice) (*broker.Client, error) {
	cfg := &broker.DialConfig{Tree: treeConfig(os.Stderr)}
	if choice == settings.Yes {
		cfg.Start = new(brokerTask).spawn
	}
	c, err := broker.Dial(ctx, cfg)
	if errors.Is(err, bootstrap.ErrFingerprint) && choice == settings.Yes {
		// The program was replaced since the broker was started. It goes on for those who use it.
		if err := retireBroker(ctx); err != nil {
			return nil, err
		}
		c, err = broker.Dial(ctx, cfg)
	}
	if choice == settings.Auto && err != nil && ctx.Err() == nil {
		// There is none, or none for us: another build's, another user's, no directory for sockets.
		cfg.Tree.Log.LogAttrs(ctx, slog.LevelDebug, "no broker is used", slog.Any("why", err))
		return nil, nil
	}
	return c, err
}

// retireBroker has the broker end when nobody uses it any more.
func retireBroker(ctx context.Context) error {
	c, err := client.Dial(ctx, broker.SocketPath(""))
	if errors.Is(err, client.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Stop(ctx, true)
}
