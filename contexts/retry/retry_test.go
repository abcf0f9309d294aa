package retry

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// clock is a time that passes only in Sleep.
type clock struct {
	now    time.Time
	pauses []time.Duration
}

func (c *clock) Now() time.Time { return c.now }

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.pauses = append(c.pauses, d)
	c.now = c.now.Add(d)
	return nil
}

var errBusy, errWrong = errors.New("busy"), errors.New("wrong")

func isBusy(err error) bool { return errors.Is(err, errBusy) }

func TestPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		policy   Policy[string]
		errs     []error // of the attempts, the last one repeated
		attempts int     // 0: at least 3
		bounds   []time.Duration
		elapsed  time.Duration // 0: no matter
	}{
		"by default once":         {Policy[string]{}, []error{errBusy}, 1, nil, 0},
		"success ends it":         {Policy[string]{Attempts: 9}, []error{errBusy, errBusy, nil}, 3, []time.Duration{time.Second, 2 * time.Second}, 0},
		"what lasts ends it":      {Policy[string]{Attempts: 9}, []error{errBusy, errWrong}, 2, []time.Duration{time.Second}, 0},
		"at once, then a pause":   {Policy[string]{Attempts: 3, AtOnce: true}, []error{errBusy}, 3, []time.Duration{0, 2 * time.Second}, 0},
		"pauses are bounded":      {Policy[string]{Attempts: 5, Pause: time.Minute, MaxPause: 90 * time.Second}, []error{errBusy}, 5, []time.Duration{time.Minute, 90 * time.Second, 90 * time.Second, 90 * time.Second}, 0},
		"many do not overflow":    {Policy[string]{Attempts: 2000, MaxPause: time.Millisecond}, []error{errBusy}, 2000, nil, 2 * time.Second},
		"as the program likes it": {Policy[string]{Attempts: 2, If: func(error) bool { return true }}, []error{errWrong}, 2, []time.Duration{time.Second}, 0},
		"no time is left":         {Policy[string]{Attempts: 1 << 30, Elapsed: time.Minute}, []error{errBusy}, 0, nil, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			most := make([]time.Duration, len(c.bounds))
			for range 100 {
				fake := &clock{}
				calls, told := 0, ""
				c.policy.Clock = fake
				c.policy.Notify = func(of string, attempt int, err error, pause time.Duration) { told = fmt.Sprint(of, attempt, err) }
				attempts, err := c.policy.Do(t.Context(), "web", isBusy, func() error {
					calls++
					return c.errs[min(calls, len(c.errs))-1]
				})
				if c.attempts != 0 && attempts != c.attempts || attempts < 3 && c.attempts == 0 || calls != attempts || err != c.errs[min(calls, len(c.errs))-1] {
					t.Fatalf("%d calls, %d attempts, %v; want %d, and the last error", calls, attempts, err, c.attempts)
				}
				if last := fmt.Sprint("web", attempts-1, errBusy); attempts > 1 && c.policy.If == nil && told != last {
					t.Fatalf("the last pause was told as %q, want %q", told, last)
				}
				if took := fake.now.Sub(time.Time{}); c.elapsed > 0 && took > c.elapsed {
					t.Fatalf("it took %v, want at most %v", took, c.elapsed)
				}
				for i, bound := range c.bounds {
					if len(fake.pauses) != len(c.bounds) || fake.pauses[i] > bound {
						t.Fatalf("the pauses are %v, want at most %v", fake.pauses, c.bounds)
					}
					most[i] = max(most[i], fake.pauses[i])
				}
			}
			for i, bound := range c.bounds {
				if most[i] < bound*3/4 {
					t.Errorf("of 100 pauses number %d, the longest is %v, want them spread up to %v", i+1, most[i], bound)
				}
			}
		})
	}
}

// The end of ctx ends a pause, and the error stays that of the last attempt.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		p := Policy[int]{Attempts: 1000, Pause: time.Hour, MaxPause: time.Hour}
		if attempts, err := p.Do(ctx, 0, isBusy, func() error { return errBusy }); attempts == 0 || err != errBusy {
			t.Errorf("%d attempts, %v; want the error of the last attempt", attempts, err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it ended after %v, want 10 s, with ctx", took)
		}
	})
}
