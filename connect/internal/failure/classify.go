// Package failure finds the class of a failure: of an error of the network, or of the
// words that a tool said last.
package failure

// classified gives an error a class without putting the class's words in front
// of those that say it better.
type classified struct {
	class, err error
}

// Classify gives an error a class and leaves its text alone.
func Classify(class, err error) error { return &classified{class, err} }

func (c *classified) Error() string   { return c.err.Error() }
func (c *classified) Unwrap() []error { return []error{c.class, c.err} }
