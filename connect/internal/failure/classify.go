package failure

// classified gives an error a class without putting the class's words in front
// of those that say it better.
type classified struct {
	class, err error
}

func Classify(class, err error) error { return &classified{class, err} }

func (c *classified) Error() string   { return c.err.Error() }
func (c *classified) Unwrap() []error { return []error{c.class, c.err} }
