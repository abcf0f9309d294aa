package container

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// engine makes the command lines of Docker and Podman, which have the same options.
type engine struct {
	program          string
	global           []string // in front of the command
	container, image string
	user             string
	args             []string
}

// check refuses strings that name no container, image or user.
func (g engine) check() error {
	switch {
	case g.container == "" && g.image == "":
		return fmt.Errorf("%w: the name of the container or image is empty", connect.ErrBadName)
	case g.container != "" && g.image != "":
		return fmt.Errorf("%w: a container and an image are given", connect.ErrBadName)
	}
	what, err := "container", error(nil)
	if g.image != "" {
		// A registry's port, directories, a tag and a digest.
		what, err = "image", check.Word("image", g.image, "/:@")
	} else {
		err = check.Word(what, g.container, "")
	}
	return cmp.Or(err, check.Optional("user", g.user), check.Args(g.args))
}

// wordOfEngine has the target of a hop word, which is a container or with the flag run an image,
// and the user.
func wordOfEngine(w *connect.Word, container, image, user *string) {
	isImage := *image != ""
	w.Target(cmp.Or(*container, *image))
	w.Flag("run", &isImage)
	if isImage && w.Reading() {
		*container, *image = "", *container
	}
	w.Text("user", user)
}

// label is user@container, or the image.
func (g engine) label(name string) string {
	if g.user != "" {
		g.user += "@"
	}
	if g.image != "" {
		return name + "-run:" + g.user + g.image
	}
	return name + ":" + g.user + g.container
}

// command returns an exec into the container, or a run of the image. If the client dies, the
// runtime closes the standard input of the far side, which then ends. A run replaces the
// entry point of the image, and logs nothing, since the log would get the bytes of the link.
func (g engine) command(e *connect.OpenRequest, token string) (*tool.Tool, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	user := flags(flag{"user", g.user})
	if g.image == "" {
		return enter(g.program, g.global, []string{"exec", "-i"}, user, g.args, []string{g.container}, e.Argv), nil
	}
	run := []string{"run", "--rm", "-i", "--log-driver=none", "--entrypoint=" + e.Argv[0], "--name=" + token}
	t := enter(g.program, g.global, run, user, g.args, []string{g.image}, e.Argv[1:])
	t.Undo = slices.Concat(g.global, []string{"rm", "-f", "-v", token})
	return t, nil
}
