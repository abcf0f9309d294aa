package fleet

import "errors"

// Where returns the members of the group whose results satisfy a predicate, for example those
// with a certain system by the results of facts.OfAll. The error is nil if all members of the
// group have a result with a value. Else it is a [*FailedError] about those that have none and
// so are not among them: nobody knows whether they belong there.
func Where[Out any](g *Group, r *Results[Out], want func(Out) bool) (*Group, error) {
	e := &FailedError{Members: g.Len()}
	part := g.Filter(func(m *Member) bool {
		result, ok := r.Of(m.name)
		switch {
		case !ok:
			result.Err = errNoResult
		case result.Err == nil && result.Before:
			result.Err = errOnlyBefore
		}
		if result.Err != nil {
			e.Failed = append(e.Failed, MemberError{m.name, result.Err})
			return false
		}
		return want(result.Value)
	})
	if e.Failed != nil {
		return part, e
	}
	return part, nil
}

var (
	errNoResult   = errors.New("it has no result")
	errOnlyBefore = errors.New("its result is of an earlier run, of which no value was kept")
)

// Policy returns the policy for operations on the group.
func (g *Group) Policy() Policy { return g.policy }
