//go:build linux && another_build

package broker_test

import (
	"context"

	"github.com/mitosis-go/mitosis/contexts"
)

// The build with this tag is another program: its functions are not those of this one.
var _ = contexts.NewFunc("brokertest.another", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
