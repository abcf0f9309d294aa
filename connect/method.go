package connect

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// A Method is one way to start a child: plain data that can be sent to the
// context that is to connect (see [Register]) and is executed there.
//
// To write one, run e.Argv (or hand e.Line to something that gives it to a
// shell) at the far side with standard input and output relayed, and return
// the pipe. Everything after that, from the first stage to the hello, is done
// by the caller.
type Method interface {
	// Label is the element that the hop adds to a path, for example
	// "ssh:deploy@web1:2222" or "sudo:root". It holds no secret.
	Label() string

	// Traits are what the caller has to know before Open.
	Traits() Traits

	// Open starts the tool and returns the pipe as soon as bytes may flow,
	// which can be before the tool has asked its questions: prompts are
	// answered behind the caller's back, and a dialogue that failed shows as
	// the end of the pipe with the reason in Cause.
	//
	// ctx bounds the opening only. What Open started lives until Close.
	Open(ctx context.Context, e *OpenRequest) (bootstrap.Carrier, error)
}

// Traits are facts about a method that decide how an image is sent through its
// pipe. The zero value is right for any method, if not the fastest.
type Traits struct {
	// Local: the child runs on the machine that connects, as User; "" is our own.
	// Where that user may read our executable in /proc, the child is started from it
	// and no image has to be sent; otherwise it is sent as it is, not packed.
	Local bool
	User  string

	// Remote: the hop goes through the server of another host, such as sshd. Its
	// pipe can be written to as soon as Open has returned, with megabytes: the bytes
	// wait, whole and in order, until the far side reads them, whatever the tool has
	// to ask before. With Early its Open returns without waiting for an answer to the
	// command, which saves a round trip. And an image is sent no faster than a far
	// side unpacks it, because servers take longer for it otherwise.
	Remote bool

	// ImageTime is how long an image takes at most, for a line on which that is
	// minutes; 0 for any other. Where a connect has no deadline, it gets that much more.
	ImageTime time.Duration
}

// OpenRequest is what a Method finds when it is opened.
type OpenRequest struct {
	// CommandLine is the first stage as one command line of at most 1 KiB that
	// every common login shell passes on unharmed.
	CommandLine string
	// Argv is the same for tools that take an argument vector: /bin/sh, -c
	// and a script, which stands in Line between the only two single quotes.
	Argv []string
	// Exec and ExecArgv start our own executable without a shell; for
	// children that run as ourselves on this host. ExecArgv[0] is the name.
	Exec     string
	ExecArgv []string

	// Prompt asks the person at the master. It is nil where nobody can be
	// asked.
	Prompt func(context.Context, Prompt) (string, error)
	// Notify shows the person at the master what is told and not asked: "touch
	// your key". It returns soon. Where it is nil such texts go to Log.
	Notify func(context.Context, Notice)
	// Dial opens network connections of a hop that has no Dialer of its own;
	// never nil when a method is opened by package contexts.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Where is the path of the context that makes the hop, for messages about its
	// files; "" at the master.
	Where string
	// Ready is closed once the far side has answered, that is, after
	// authentication: no prompt is expected from then on, and a slot that
	// paces handshakes may be given back. It is closed on failure too.
	Ready <-chan struct{}
	// Early says that bytes will be written to the pipe before the far side has
	// spoken; see [Traits].
	Early bool
	// Phase is told how far the opening has come, in a few words. It does not
	// block. nil: nobody wants to know.
	Phase func(string)
	// Log receives what the tool says on the side. Never nil when a method
	// is opened by package contexts.
	Log *slog.Logger
}

// PromptKind tells what is asked for, so that a program can choose between a
// vault, a dialogue box and a refusal without reading the text.
type PromptKind uint8

// The kinds of prompts. The numbers travel; append only.
const (
	PromptOther      PromptKind = iota // text that the far side made up, as keyboard-interactive does
	PromptPassword                     // a password for an account
	PromptPassphrase                   // the passphrase of a private key
)

// Prompt is one question to the person at the master.
type Prompt struct {
	Kind    PromptKind
	Path    string // the hop that asks
	Text    string // the question as the tool put it
	Attempt int    // 1 for the first time, 2 when the question comes again in another round: an answer of the first was wrong
	Echo    bool   // whether the answer may be shown while it is typed
}

// Notice is something that a tool or a server tells the person at the master.
type Notice struct {
	Path string // the hop that tells it
	Text string // one line, without control characters
}

// Secret is a password or passphrase. It prints as *** whatever the verb, and
// travels only inside the body of a message.
type Secret string

// A ThroughMethod is a hop whose network connections can be opened somewhere
// else, by a context that lies on the way.
type ThroughMethod interface {
	Method

	// ThroughDialer returns what opens them; nil for the context itself.
	ThroughDialer() Dialer
	// WithThrough returns the same hop with them opened by d. A dialer does not
	// travel: the context that is to make the hop gets it anew.
	WithThrough(d Dialer) Method
}

// A Dialer opens connections on behalf of a hop. A net.Dialer is one, and so is
// a node of the tree: then the connection leaves from that node's host,
// while keys, passwords and plain text stay here.
type Dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// PhaseDial is what OpenRequest.Phase is told while a network connection is opened: until then
// nobody has answered.
const PhaseDial = "dial"
