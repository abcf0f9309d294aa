// Package wire has the records that the two ends of a copy exchange: how they are
// encoded, which values they carry, and which names and sizes a peer may send.
// The comment of package files describes the exchange.
package wire

import (
	"errors"

	"github.com/mitosis-go/mitosis/core"
)

// ProtocolError returns the error about a peer that breaks the rules, in these words.
func ProtocolError(text string) error {
	return &core.Error{Op: "copy files", Kind: core.KindProtocol, Err: errors.New(text)}
}
