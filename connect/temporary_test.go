package connect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
)

// Whether another attempt makes sense is known at any depth.
func TestTemporary(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{connect.ErrUnreachable, true}, {connect.ErrRefused, true}, {connect.ErrTimeout, true}, {connect.ErrEOF, true}, {connect.ErrResolver, true},
		{fmt.Errorf("%w: %w", connect.ErrTimeout, context.DeadlineExceeded), true},
		{context.DeadlineExceeded, true}, {io.ErrUnexpectedEOF, true}, {syscall.ECONNRESET, true},
		{connect.ErrNoHost, false}, {connect.ErrPassword, false}, {connect.ErrPasswordRequired, false}, {connect.ErrPermission, false},
		{connect.ErrHostKey, false}, {connect.ErrHostKeyUnknown, false}, {connect.ErrHostKeyChanged, false}, {connect.ErrBadName, false},
		{connect.ErrStart, false}, {connect.ErrNoContainer, false}, {context.Canceled, false}, {errors.New("?"), false}, {nil, false},
		// The connection ended because of what does not pass.
		{fmt.Errorf("%w: %w", connect.ErrEOF, connect.ErrPermission), false},
	} {
		err := error(&connect.Error{Hop: "ssh:h", Phase: "dial", Err: c.err})
		if c.err == nil {
			err = nil
		}
		for depth := range 3 {
			if got := connect.Temporary(err); got != c.want {
				t.Errorf("%v, %d hops away: %v, wanted %v", c.err, depth, got, c.want)
			}
			if err == nil {
				break
			}
			err = core.DecodeError(core.EncodeError(err))
		}
	}
}
