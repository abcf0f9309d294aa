// Package command runs a command at the far side of contexts.Command, and knows how
// the two sides speak of it.
//
//  1. Serve (serve.go) prepares the process (env.go, terminal_unix.go) and starts it.
//  2. Orders come and events go (wire.go); its input is fed, its outputs are pumped
//     (output.go).
//  3. When it is to end it is ended with its group (end.go, process_unix.go), and the
//     way in which it did is reported (state.go).
package command
