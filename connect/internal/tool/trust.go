package tool

import (
	"context"
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/connect"
)

// answerHostKey has a person answer the question whether to trust a host, if the hop allows
// that. An answer is typed as it is: the tool knows the words that it takes, and asks again
// after others.
func (d *dialogue) answerHostKey(ctx context.Context, q Question, line string, hidden bool) error {
	if !d.answers.MayTrust || d.ask == nil {
		return fmt.Errorf("%w, and is not accepted by answering a question", connect.ErrHostKeyUnknown)
	}
	if d.asked >= MaxQuestions {
		return fmt.Errorf("%w: the tool asks %q again and again", connect.ErrHostKeyUnknown, q.Text)
	}
	answer, err := d.askWhileItStands(ctx, d.question(q, d.rounds[q.Key]+1, hidden), line, hidden)
	switch {
	case err == nil:
		clear(d.round) // if the question comes again, it is a new round
		return d.enter(q, connect.Secret(answer), hidden)
	case errors.Is(err, errWithdrawn), errors.Is(err, connect.ErrTimeout):
		return err
	}
	return fmt.Errorf("%w, and nobody says whether to trust it: %v", connect.ErrHostKeyUnknown, err)
}
