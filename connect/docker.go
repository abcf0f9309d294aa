package connect

import (
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Docker continues in a container: in one that runs, or in a new one of an image,
// which is gone after Close. It runs the docker program, whose daemon may be far
// away.
//
// A new container has the image's settings, but for its entry point, and no log.
// Docker pulls an image that it does not have, which is bounded by the context of
// the connect.
//
// Errors: [ErrNoRuntime] where there is no docker, daemon, image or container, or
// the container does not run; [ErrPermission] where the daemon does not let us in;
// [ErrStart] where there is no shell in the container; [ErrBadName].
type Docker struct {
	Container string // name or ID of one that runs; or
	Image     string // what to make a new one of

	User string   // "user", "uid", "user:group"; "" is the container's own
	Host string   // of the daemon: "unix://PATH", "tcp://HOST:PORT", "ssh://HOST"; "" is docker's choice
	Args []string // further options of docker exec, or docker run, as they are
	Path string   // of docker; "" looks for it in PATH
}

func init() { Register[Docker]("docker") }

// Label implements Method.
func (d Docker) Label() string { return d.engine().label("docker") }

// Traits implements Method.
func (Docker) Traits() Traits { return Traits{} }

// Open implements Method.
func (d Docker) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, d)
}

func (d Docker) engine() engine {
	return engine{
		program: programOr(d.Path, "docker"), global: flags(flag{"host", d.Host}),
		container: d.Container, image: d.Image, user: d.User, args: d.Args,
	}
}

func (d Docker) plan(e *Env, token string) (*tool, error) {
	if err := checkArgs([]string{d.Host}); err != nil {
		return nil, err
	}
	return d.engine().plan(e, token)
}
