package container

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Buildah continues in a working container of buildah, to look at the future image or to
// change it.
//
// Errors: those of [Docker].
type Buildah struct {
	Container string   // name or ID
	User      string   // "user", "uid", "user:group"; "" is the container's own
	Args      []string // further options of buildah run, unchecked
	Path      string   // of buildah; "" looks for it in PATH
}

func init() {
	connect.Register[Buildah]("buildah")
	connect.RegisterSyntax("buildah", func(arg string) (connect.Method, error) {
		return Buildah{Container: arg}, check.Name("container", arg, "")
	})
}

// Label implements Method.
func (b Buildah) Label() string { return "buildah:" + b.Container }

// HopWord implements [connect.WordMethod].
func (b Buildah) HopWord(w *connect.Word) connect.Method {
	w.Target(b.Container)
	w.Text("user", &b.User)
	w.List("arg", &b.Args)
	w.Text("path", &b.Path)
	w.Check(b.check())
	return b
}

// Traits implements Method.
func (Buildah) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (b Buildah) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, b, b.command)
}

// DryRun implements DryRunner.
func (b Buildah) DryRun() ([]string, error) { return tool.DryRun(b, b.command) }

func (b Buildah) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	user := flags(flag{"user", b.User})
	return enter(tool.ProgramOr(b.Path, "buildah"), []string{"run"}, user, b.Args, []string{"--", b.Container}, e.Argv), nil
}

func (b Buildah) check() error {
	return cmp.Or(check.Word("container", b.Container, ""), check.Optional("user", b.User), check.Args(b.Args))
}
