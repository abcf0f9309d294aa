package main

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

const brokerText = ""

// declareBroker: there is no broker on Windows, whose unix sockets do not tell who connects.
func declareBroker(*sections) parser {
	return func(words) (job, error) { return nil, errors.New("there is no broker on Windows") }
}

func declareBrokerChoice(*pflag.FlagSet) {}

func dialBroker(context.Context, context.Context, []connect.Method) (*contexts.Node, func() error, error) {
	return nil, nil, nil
}
