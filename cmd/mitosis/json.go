package main

import (
	"encoding/json"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// row prints the result of a host as a JSON object on a line: docs/schema says which fields it
// has. Within JSON controls are escaped.
func row[Out any](s *screen, m *fleet.Member, r *fleet.Result[Out]) {
	text, err := json.Marshal(fleet.RowOf(m, *r))
	if err != nil {
		panic(err) // the types can all be written
	}
	s.print(append(text, '\n'), false)
}
