package connect

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is printed in place of a secret.
const redacted = "***"

// String returns asterisks.
func (Secret) String() string { return redacted }

// GoString returns asterisks, for %#v.
func (Secret) GoString() string { return redacted }

// Format writes asterisks, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns asterisks.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
