package connect

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Buildah continues in a container that buildah made, to look around in what will
// be an image, or to change it.
//
// Errors: those of [Docker].
type Buildah struct {
	Container string   // name or ID
	User      string   // "user", "uid", "user:group"; "" is the container's own
	Args      []string // further options of buildah run, as they are
	Path      string   // of buildah; "" looks for it in PATH
}

func init() { Register[Buildah]("buildah") }

// Label implements Method.
func (b Buildah) Label() string { return "buildah:" + b.Container }

// Traits implements Method.
func (Buildah) Traits() Traits { return Traits{} }

// Open implements Method.
func (b Buildah) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, b)
}

func (b Buildah) plan(e *Env, _ string) (*tool, error) {
	if err := cmp.Or(checkWord("container", b.Container, ""), checkOptional("user", b.User), checkArgs(b.Args)); err != nil {
		return nil, err
	}
	user := flags(flag{"user", b.User})
	return enter(programOr(b.Path, "buildah"), []string{"run"}, user, b.Args, []string{"--", b.Container}, e.Argv), nil
}
