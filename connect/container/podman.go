package container

import (
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Podman continues in a container: in a running one, or in a new one of an image, which
// Close removes. It has no daemon. Users other than root need the right to make user
// namespaces.
//
// A new container has the image's settings except its entry point, and no log. If the parent
// of the hop is killed or loses its own parent, the container ends, too, but may stay in the
// list of "podman ps -a", with a name that begins with "mitosis-".
//
// Errors: those of [Docker].
type Podman struct {
	Container string // name or ID of a running one; or
	Image     string // image of a new one

	User string   // "user", "uid", "user:group"; "" is the container's own
	Args []string // further options of podman exec or podman run, unchecked
	Path string   // of podman; "" looks for it in PATH
}

func init() {
	connect.Register[Podman]("podman")
	connect.RegisterSyntax("podman", func(arg string) (connect.Method, error) {
		return Podman{Container: arg}, nil
	})
}

// Label implements Method.
func (p Podman) Label() string { return p.engine().label("podman") }

// HopWord implements [connect.WordMethod].
func (p Podman) HopWord(w *connect.Word) connect.Method {
	wordOfEngine(w, &p.Container, &p.Image, &p.User)
	w.List("arg", &p.Args)
	w.Text("path", &p.Path)
	w.Check(p.engine().check())
	return p
}

// Traits implements Method.
func (Podman) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (p Podman) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, p, p.command)
}

// DryRun implements DryRunner.
func (p Podman) DryRun() ([]string, error) { return tool.DryRun(p, p.command) }

func (p Podman) engine() engine {
	return engine{
		program: tool.ProgramOr(p.Path, "podman"), container: p.Container, image: p.Image, user: p.User, args: p.Args,
	}
}

func (p Podman) command(e *connect.OpenRequest, token string) (*tool.Tool, error) {
	return p.engine().command(e, token)
}
