// Package command has both sides of contexts.Command, below the type that users see.
//
// At the side of the caller:
//
//  1. Open (running.go) makes the streams, Begin hears that the command runs.
//  2. Standard input is copied (input.go), outputs are copied or read by pipes (pipe.go).
//  3. Orders go there and events come back (wire.go), until Wait.
//
// At the side where the command runs:
//
//  1. Serve (serve.go) prepares the process (env.go, terminal_unix.go) and starts it.
//  2. Its input is fed, its outputs are pumped (output.go).
//  3. When it is to end it is ended with its group (end.go, process_unix.go), and the
//     way in which it did is reported (state.go).
package command
