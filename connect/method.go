package connect

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// A Method describes one hop, which starts a child. It is plain data: it is sent to the
// context that makes the hop (see [Register]), and opened there.
//
// To write one, run e.Argv at the far side, or hand e.CommandLine to a tool that gives it
// to a shell. Relay standard input and output, and return the pipe. The caller does
// everything else, from the first stage to the hello.
type Method interface {
	// Label is the element that the hop adds to a path, for example
	// "ssh:deploy@web1:2222" or "sudo:root". It holds no secret.
	Label() string

	// Traits returns the facts that the caller needs before Open.
	Traits() Traits

	// Open starts the tool, and returns the pipe as soon as bytes may be written to it.
	// That can be before the tool has asked its questions. Prompts are then answered in
	// the background; if that fails, the pipe ends, and its Cause has the reason.
	//
	// ctx bounds Open only. The tool and its goroutines live until Close.
	Open(ctx context.Context, e *OpenRequest) (bootstrap.Carrier, error)
}

// Traits are facts about a method. They decide how an image is sent through its pipe. The
// zero value works for every method, but may be slower.
type Traits struct {
	// Local: the child runs on the machine that makes the hop, as User; "" is the user of
	// this process. If User may read our executable in /proc, the child is started from
	// that and no image is sent. Otherwise the image is sent without being packed.
	Local bool
	User  string

	// Remote: the hop goes through a server on another host, such as sshd. Megabytes can
	// be written to its pipe as soon as Open has returned: they wait, whole and in order,
	// until the far side reads them. With OpenRequest.Early its Open does not wait for
	// an answer to the command, which saves a round trip. An image is sent no faster than
	// the far side unpacks it, because servers take longer for it otherwise.
	Remote bool

	// ImageTime is the longest time that an image takes, if the pipe is so slow that this
	// is minutes, and otherwise 0. A connect without a deadline gets that much more time.
	ImageTime time.Duration
}

// OpenRequest is given to [Method].Open: the first stage, and the means to ask and to report.
type OpenRequest struct {
	// CommandLine is the first stage as one command line of at most 1 KiB that
	// every common login shell passes on unharmed.
	CommandLine string
	// Argv is the first stage for tools that take an argument vector: /bin/sh, -c and a
	// script. CommandLine has the same script between its only two single quotes.
	Argv []string
	// Exec and ExecArgv start our own executable without a shell, for children that run
	// on this host as the same user. ExecArgv[0] is the name.
	Exec     string
	ExecArgv []string

	// Prompt asks the person at the master. It is nil if nobody can be asked.
	Prompt func(context.Context, Prompt) (string, error)
	// Notify shows the person at the master a text that needs no answer, such as "touch
	// your key". It returns soon. If it is nil, such texts go to Log.
	Notify func(context.Context, Notice)
	// Dial opens network connections, for hops that have no Dialer of their own. Package
	// contexts always sets it.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Where is the path of the context that makes the hop, "" for the master. Messages
	// about files name it, since those are the files of that context's host.
	Where string
	// Ready is closed when the far side has answered, and also when the hop has failed.
	// Authentication is over then: no prompt is answered any more, and another
	// handshake may take the place of this one.
	Ready <-chan struct{}
	// Early says that bytes will be written to the pipe before the far side has
	// spoken; see [Traits].
	Early bool
	// Phase is called with a few words on how far the opening has come. It does not
	// block. It may be nil.
	Phase func(string)
	// Log gets the texts of the tool that are no prompts. Package contexts always sets it.
	Log *slog.Logger
}

// PromptKind tells what a prompt asks for. A program can so choose between a vault, a
// dialogue box and a refusal without reading the text.
type PromptKind uint8

// The kinds of prompts. The numbers travel; append only.
const (
	PromptOther      PromptKind = iota // any other question, in the words of the tool or the server
	PromptPassword                     // a password for an account
	PromptPassphrase                   // the passphrase of a private key
	PromptHostKey                      // whether to trust the key of a host: "yes", "no", or its fingerprint
)

// Prompt is one question to the person at the master.
type Prompt struct {
	Kind    PromptKind
	Path    string // the hop that asks
	Text    string // the question as the tool put it
	Attempt int    // from 1; 2 means that the question comes again, because an answer in the first round was wrong
	Echo    bool   // whether the answer may be shown while it is typed
}

// Notice is a text of a tool or a server for the person at the master. It needs no answer.
type Notice struct {
	Path string // the hop that tells it
	Text string // one line, without control characters
}

// Secret is a password or passphrase. It prints as *** whatever the verb, and
// travels only inside the body of a message.
type Secret string

// A ThroughMethod is a hop whose network connections another context can open.
type ThroughMethod interface {
	Method

	// ThroughDialer returns the dialer of the connections; nil stands for the context that
	// makes the hop.
	ThroughDialer() Dialer
	// WithThrough returns the same hop with d as dialer. A dialer does not travel with the
	// method: the context that makes the hop gets it anew.
	WithThrough(d Dialer) Method
}

// A Dialer opens connections for a hop. A net.Dialer is one. A node of the tree is another:
// the connection then leaves from the host of that node, while keys, passwords and plain
// text stay at the context that makes the hop.
type Dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// PhaseDial is the phase in which a network connection is opened and no host has answered
// yet; see OpenRequest.Phase.
const PhaseDial = "dial"

// PhaseTurn is the phase in which a hop waits because this process has as many logins under way
// at the server as that takes at once; see OpenRequest.Phase.
const PhaseTurn = "waiting for other logins at the server"
