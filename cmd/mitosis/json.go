package main

import (
	"encoding/json"
	"io"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// printJSON prints a value on a line: docs/schema says which fields it has.
func printJSON(out io.Writer, v any) error {
	return json.NewEncoder(out).Encode(v)
}

// row prints the result of a host as a JSON object on a line: docs/schema says which fields it
// has. Within JSON controls are escaped.
func row[Out any](s *screen, m *fleet.Member, r *fleet.Result[Out]) {
	text, err := json.Marshal(fleet.RowOf(m, *r))
	if err != nil {
		panic(err) // the types can all be written
	}
	s.print(append(text, '\n'), false)
}
