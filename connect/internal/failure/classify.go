// Package failure finds the class of a failure, from an error of the network or from the last
// words of a tool.
package failure

// classified is an error that matches a class, but does not have its text in front.
type classified struct {
	class, err error
}

// Classify returns an error that matches class as well, with the text of err.
func Classify(class, err error) error { return &classified{class, err} }

func (c *classified) Error() string   { return c.err.Error() }
func (c *classified) Unwrap() []error { return []error{c.class, c.err} }
