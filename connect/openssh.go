package connect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// OpenSSH reaches a host by the user's own ssh program, with everything that
// its configuration can do. Questions come on a terminal of its own and are
// answered there; host keys are never accepted by answering a question.
//
// Errors: as of [SSH].
type OpenSSH struct {
	Host string // also an alias of the configuration
	User string
	Port int

	Password      Secret // for passwords and passphrases; "" is asked for through Config.Prompt
	IdentityFiles []string
	HostKeys      HostKeyPolicy // the zero value leaves it to the configuration, but for questions
	Options       []string      // "Key=value" as of ssh_config(5)
	Args          []string      // further arguments, as they are
	Path          string        // of ssh; "" looks for it in PATH
}

func init() { Register[OpenSSH]("openssh") }

// Label implements Method.
func (o OpenSSH) Label() string {
	return "open" + SSH{Host: o.Host, User: o.User, Port: o.Port}.Label()
}

// Open implements Method.
func (o OpenSSH) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	hop := o.Label()
	if err := checkHost(o.Host); err != nil {
		return nil, &Error{Hop: hop, Err: err}
	}
	if o.User != "" {
		if err := checkUser(o.User); err != nil {
			return nil, &Error{Hop: hop, Err: err}
		}
	}
	if o.Port < 0 || o.Port > 65535 {
		return nil, &Error{Hop: hop, Err: fmt.Errorf("%w: port %d", ErrBadName, o.Port)}
	}
	path := o.Path
	if path == "" {
		path = "ssh"
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return nil, &Error{Hop: hop, Phase: "looking for ssh", Err: fmt.Errorf("%w: %w", ErrStart, err)}
	}
	release, err := handshakes.wait(ctx, "openssh "+o.Host+" "+strconv.Itoa(o.Port))
	if err != nil {
		return nil, &Error{Hop: hop, Phase: "waiting for a turn to log in", Err: err}
	}
	go func() {
		<-e.Ready
		release()
	}()
	return startTool(ctx, tool{
		hop: hop, env: e, path: path, args: o.args(e), terminal: true,
		secret: o.Password, classify: classifySSH, environ: os.Environ(),
	})
}

func (o OpenSSH) args(e *Env) []string {
	args := []string{"ssh", "-T", "-oServerAliveInterval=15", "-oServerAliveCountMax=3", "-oEscapeChar=none"}
	switch o.HostKeys {
	case HostKeysAcceptNew:
		args = append(args, "-oStrictHostKeyChecking=accept-new")
	case InsecureIgnoreHostKeys:
		args = append(args, "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null")
	default:
		// "ask" would ask us; an unknown key is refused in place of that.
		args = append(args, "-oStrictHostKeyChecking=yes")
	}
	if o.Password == "" && e.Prompt == nil {
		args = append(args, "-oBatchMode=yes")
	} else {
		args = append(args, "-oNumberOfPasswordPrompts="+strconv.Itoa(maxAttempts))
	}
	if o.User != "" {
		args = append(args, "-l", o.User)
	}
	if o.Port != 0 {
		args = append(args, "-p", strconv.Itoa(o.Port))
	}
	for _, f := range o.IdentityFiles {
		args = append(args, "-i", f)
	}
	for _, option := range o.Options {
		args = append(args, "-o"+option)
	}
	args = append(args, o.Args...)
	return append(args, "--", o.Host, e.Line)
}

// classifySSH finds the class of a failure in what ssh said. Its exit status
// is 255 for all of them. ssh does not translate its messages.
func classifySSH(said string) error {
	for _, c := range []struct {
		err  error
		text []string
	}{
		{ErrHostKeyChanged, []string{"REMOTE HOST IDENTIFICATION HAS CHANGED"}},
		{ErrHostKeyUnknown, []string{"host key is known for", "No matching host key fingerprint"}},
		{ErrHostKey, []string{"Host key verification failed"}},
		{ErrPermission, []string{"Permission denied", "Too many authentication failures"}},
		{ErrRefused, []string{"Connection refused"}},
		{ErrTimeout, []string{"timed out", "Timeout, server"}},
		{ErrStart, []string{"Could not resolve hostname", "Bad configuration option", "No route to host", "Network is unreachable"}},
	} {
		for _, text := range c.text {
			if strings.Contains(said, text) {
				return c.err
			}
		}
	}
	return errors.New("ssh ended")
}
