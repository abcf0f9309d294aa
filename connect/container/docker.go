package container

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Docker continues in a container: in a running one, or in a new one of an image, which
// Close removes. It runs the docker program, whose daemon may be on another host.
//
// A new container has the image's settings except its entry point, and no log. Docker pulls
// a missing image; the ctx of the connect bounds that.
//
// Errors: [connect.ErrNoContainer] if there is no docker, daemon, image or container, or the
// container does not run; [connect.ErrPermission] if the user may not use the daemon;
// [connect.ErrStart] if the container has no shell; [connect.ErrBadName].
type Docker struct {
	Container string // name or ID of a running one; or
	Image     string // image of a new one

	User string   // "user", "uid", "user:group"; "" is the container's own
	Host string   // of the daemon: "unix://PATH", "tcp://HOST:PORT", "ssh://HOST"; "" is docker's choice
	Args []string // further options of docker exec or docker run, unchecked
	Path string   // of docker; "" looks for it in PATH
}

func init() {
	connect.Register[Docker]("docker")
	connect.RegisterSyntax("docker", func(arg string) (connect.Method, error) {
		return Docker{Container: arg}, nil
	})
}

// Label implements Method.
func (d Docker) Label() string { return d.engine().label("docker") }

// HopWord implements [connect.WordMethod].
func (d Docker) HopWord(w *connect.Word) connect.Method {
	wordOfEngine(w, &d.Container, &d.Image, &d.User)
	w.Text("host", &d.Host)
	w.List("arg", &d.Args)
	w.Text("path", &d.Path)
	w.Check(d.check())
	return d
}

// Traits implements Method.
func (Docker) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (d Docker) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, d, d.command)
}

// DryRun implements DryRunner.
func (d Docker) DryRun() ([]string, error) { return tool.DryRun(d, d.command) }

func (d Docker) engine() engine {
	return engine{
		program: tool.ProgramOr(d.Path, "docker"), global: flags(flag{"host", d.Host}),
		container: d.Container, image: d.Image, user: d.User, args: d.Args,
	}
}

func (d Docker) command(e *connect.OpenRequest, token string) (*tool.Tool, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return d.engine().command(e, token)
}

func (d Docker) check() error { return cmp.Or(check.Args([]string{d.Host}), d.engine().check()) }
