// Package openssh reaches hosts by the ssh program of the machine: see [Login].
package openssh

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/pacing"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Login reaches a host by the user's own ssh program, with everything that its configuration
// can do: Match, ControlMaster, hardware keys, jump hosts. ssh gets a controlling terminal of
// its own, on which it asks, while the link runs over a pipe beside it.
//
// The password is only typed if ssh asks for that of the user and host of this Login, and not
// for that of a jump host. ssh's question about the key of a new host goes to a person if
// HostKeys is HostKeysAsk or Options has StrictHostKeyChecking=ask, and is else answered by no.
//
// The host is one argument of ssh and the command another, both behind a "--". If the
// configuration has a RemoteCommand for the host, set Options to "RemoteCommand=none".
//
// Errors, each with the words of ssh: [connect.ErrHostKeyUnknown], [connect.ErrHostKeyChanged],
// [connect.ErrPassword], [connect.ErrPasswordRequired], [connect.ErrPermission],
// [connect.ErrRefused], [connect.ErrUnreachable], [connect.ErrNoHost], [connect.ErrTimeout],
// [connect.ErrStart] for a configuration that ssh rejects, [connect.ErrEOF],
// [connect.ErrBadName].
type Login struct {
	Host string // also an alias of the configuration
	User string
	Port int

	// A password or passphrase that is not given is asked through OpenRequest.Prompt. If
	// nobody can be asked, ssh skips keys that need a passphrase or a PIN, and a question
	// for a password ends the hop.
	Password       connect.Secret
	Passphrase     connect.Secret // of encrypted key files
	IdentityFiles  []string
	IdentitiesOnly bool

	// HostKeys overrides the configuration, unless it is the zero value.
	// KnownHostsFiles replaces the user's files.
	HostKeys        connect.HostKeyPolicy
	KnownHostsFiles []string

	ProxyJump   string // as ssh -J takes it; "" leaves it to the configuration
	Compression bool
	Verbose     int // the number of -v, up to 3; the messages go to OpenRequest.Log

	// ssh sends a silent server a request every Keepalive, and gives up after
	// KeepaliveCount requests without an answer. 0 means 15 s and 3; negative leaves it to
	// the configuration.
	Keepalive      time.Duration
	KeepaliveCount int

	ConfigFile string   // instead of the user's and the system's configuration
	Options    []string // "Keyword=value" of ssh_config(5); these override the configuration
	Args       []string // further arguments, unchecked; -t has no effect
	Path       string   // of ssh; "" looks for it in PATH
}

func init() {
	connect.Register[Login]("openssh")
	connect.RegisterSyntax("openssh", func(arg string) (connect.Method, error) {
		jumps, to, err := sshconfig.ParseJumped(arg)
		var names []string
		for _, jump := range jumps {
			names = append(names, jump.Word())
		}
		return Login{Host: to.Host, User: to.User, Port: to.Port, ProxyJump: strings.Join(names, ",")}, err
	})
}

// Label implements Method.
func (o Login) Label() string {
	label := "openssh:"
	if o.ProxyJump != "" {
		label += o.ProxyJump + ","
	}
	return label + sshconfig.Destination{User: o.User, Host: o.Host, Port: o.Port}.String()
}

// Traits implements Method. ssh asks on its terminal, and reads the pipe once it has a
// session.
func (Login) Traits() connect.Traits { return connect.Traits{Remote: true} }

// Open implements Method. It waits if this process has too many handshakes with the host
// under way.
func (o Login) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	hop := o.Label()
	t, err := o.command(e, "")
	if err != nil {
		return nil, &connect.Error{Hop: hop, Err: err}
	}
	t.Hop = hop
	t.Settled, err = pacing.Handshakes.Wait(ctx, "openssh "+check.HostPort(o.Host, o.Port), func() {
		if e.Phase != nil {
			e.Phase(connect.PhaseTurn)
		}
	})
	if err != nil {
		return nil, &connect.Error{Hop: hop, Phase: connect.PhaseTurn, Err: fmt.Errorf("%w: %w", connect.ErrTimeout, err)}
	}
	return tool.Start(ctx, e, t)
}

// DryRun implements DryRunner.
func (o Login) DryRun() ([]string, error) { return tool.DryRun(o, o.command) }

func (o Login) program() string { return tool.ProgramOr(o.Path, "ssh") }

func (o Login) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	options := o.options(e.Prompt != nil)
	return &tool.Tool{
		Program: o.program(), Name: "ssh",
		// A terminal would change the bytes of an image. The last of -t and -T counts.
		Args: append(options, "-T", "--", o.Host, e.CommandLine),
		// SSH_ASKPASS would open a window on the screen of the user who runs this process.
		Environ: []string{"SSH_ASKPASS_REQUIRE=never"},
		Answers: tool.Answers{
			Recognise: prompt, Password: o.Password, Passphrase: o.Passphrase, SkipPassphrase: true,
			Confirm: confirm(o, options), MayTrust: o.mayTrust(),
		},
		Tells:    o.Verbose <= 0, // else it is for whoever reads the log
		IsClient: true,
		Explain:  explain(o.Password != "" || e.Prompt != nil),
	}, nil
}

func (o Login) check() error {
	if err := check.HostAndUser(o.Host, o.User); err != nil {
		return err
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("%w: port %d", connect.ErrBadName, o.Port)
	}
	if o.ProxyJump != "" {
		if err := check.User(strings.Map(jumpChars, o.ProxyJump)); err != nil {
			return err
		}
	}
	if o.HostKeys > connect.HostKeysAsk {
		return fmt.Errorf("%w: no such policy for host keys: %d", connect.ErrBadName, o.HostKeys)
	}
	for _, text := range append(append([]string{o.ConfigFile}, o.IdentityFiles...), o.KnownHostsFiles...) {
		if strings.ContainsAny(text, "\x00\n\"") || strings.HasPrefix(text, "-") {
			return fmt.Errorf("%w: the file %q", connect.ErrBadName, text)
		}
	}
	for _, text := range o.Options {
		if strings.ContainsAny(text, "\x00\n") || strings.IndexAny(text, "= ") <= 0 || text[0] == '-' {
			return fmt.Errorf("%w: the option %q is not Keyword=value", connect.ErrBadName, text)
		}
	}
	for _, text := range o.Args {
		if strings.IndexByte(text, 0) >= 0 || text == "--" {
			return fmt.Errorf("%w: the argument %q", connect.ErrBadName, text)
		}
	}
	return nil
}

// jumpChars are the characters that a list of jump hosts may have in addition to names.
func jumpChars(r rune) rune {
	if r == '/' || r == ',' {
		return '_'
	}
	return r
}

// options returns the arguments of ssh in front of the host. For each option ssh takes the
// first value that it finds: that of a field, then that of Options, then ours.
func (o Login) options(person bool) []string {
	args := slices.Clone(o.Args)
	set := func(option string) { args = append(args, "-o", option) }
	switch o.HostKeys {
	case connect.HostKeysAcceptNew:
		set("StrictHostKeyChecking=accept-new")
	case connect.InsecureIgnoreHostKeys:
		set("StrictHostKeyChecking=no")
		set("UserKnownHostsFile=/dev/null")
		set("GlobalKnownHostsFile=/dev/null")
	}
	if len(o.KnownHostsFiles) > 0 {
		set(`UserKnownHostsFile="` + strings.Join(o.KnownHostsFiles, `" "`) + `"`)
	}
	if o.IdentitiesOnly {
		set("IdentitiesOnly=yes")
	}
	if o.Keepalive > 0 {
		set("ServerAliveInterval=" + strconv.Itoa(max(1, int(o.Keepalive/time.Second))))
	}
	if o.KeepaliveCount > 0 {
		set("ServerAliveCountMax=" + strconv.Itoa(o.KeepaliveCount))
	}
	for _, file := range o.IdentityFiles {
		args = append(args, "-i", file)
	}
	for _, f := range []struct{ flag, value string }{{"-l", o.User}, {"-F", o.ConfigFile}, {"-J", o.ProxyJump}} {
		if f.value != "" {
			args = append(args, f.flag, f.value)
		}
	}
	if o.Port != 0 {
		args = append(args, "-p", strconv.Itoa(o.Port))
	}
	if o.Compression {
		args = append(args, "-C")
	}
	for _, option := range o.Options {
		set(option)
	}
	if o.Verbose > 0 {
		args = append(args, "-"+strings.Repeat("v", min(o.Verbose, 3)))
	} else {
		set("LogLevel=INFO") // with a lower level it would not say why it fails
	}
	// BatchMode would leave out keyboard-interactive. A server that waives its second factor
	// may demand that method, and ask nothing.
	prompts := 1
	if o.Password == "" && person {
		prompts = tool.MaxAttempts
	}
	set("NumberOfPasswordPrompts=" + strconv.Itoa(prompts))
	if o.Keepalive >= 0 {
		set("ServerAliveInterval=15")
		set("ServerAliveCountMax=3")
	}
	return args
}
