package contexts

import (
	"context"
	"net"

	"github.com/mitosis-go/mitosis/contexts/internal/command"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// commandName is the name of the function, commandCall what its errors say.
const (
	commandName = "mitosis.command"
	commandCall = "call " + commandName
)

// commandConn runs a command at its far side.
var commandConn = NewConnFunc(commandName, func(ctx context.Context, conn net.Conn, q command.Request) error {
	c := callOf(ctx)
	return command.Serve(ctx, conn.(*router.Stream), q, command.Host{
		OwnProcess: c.l.ownsProcess(), Profiles: c.l.profiles, KillGrace: killGrace,
		Accept: func(h core.Handle) (*router.Stream, error) {
			m := c.m // for the link whose quota the stream counts against
			m.Reply = h
			return c.l.router.AcceptStream(m)
		},
	})
})
