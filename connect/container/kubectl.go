package container

import (
	"cmp"
	"context"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// Kubectl continues in a container of a pod, by the kubectl program and its
// configuration.
//
// Errors: [connect.ErrNoContainer] if there is no kubectl, context, namespace, pod or
// container; [connect.ErrPermission] if the cluster's rules forbid it; [connect.ErrRefused],
// [connect.ErrUnreachable], [connect.ErrNoHost], [connect.ErrTimeout] and [connect.ErrStart]
// if the cluster can't be reached; [connect.ErrBadName].
type Kubectl struct {
	Pod        string   // name of the pod, or "deployment/NAME" and the like for one of its pods
	Container  string   // of the pod; "" is its default container
	Namespace  string   // "" is that of the kubectl context
	Context    string   // the kubectl context; "" is the current one
	Kubeconfig string   // file; "" is kubectl's choice
	Args       []string // further options of kubectl exec, unchecked
	Path       string   // of kubectl; "" looks for it in PATH
}

func init() {
	connect.Register[Kubectl]("kubectl")
	connect.RegisterSyntax("kubectl", parseKubectl)
}

// Label implements Method.
func (k Kubectl) Label() string {
	label := "kubectl:" + k.target()
	if k.Context != "" {
		label += "@" + k.Context
	}
	return label
}

// target is POD[:CONTAINER][@NAMESPACE].
func (k Kubectl) target() string {
	target := k.Pod
	for _, part := range []struct{ mark, name string }{{":", k.Container}, {"@", k.Namespace}} {
		if part.name != "" {
			target += part.mark + part.name
		}
	}
	return target
}

// HopWord implements [connect.WordMethod].
func (k Kubectl) HopWord(w *connect.Word) connect.Method {
	w.Target(k.target())
	w.Text("context", &k.Context)
	w.Text("kubeconfig", &k.Kubeconfig)
	w.List("arg", &k.Args)
	w.Text("path", &k.Path)
	w.Check(k.check())
	return k
}

// Traits implements Method.
func (Kubectl) Traits() connect.Traits { return connect.Traits{} }

// Open implements Method.
func (k Kubectl) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	return tool.Open(ctx, e, k, k.command)
}

// DryRun implements DryRunner.
func (k Kubectl) DryRun() ([]string, error) { return tool.DryRun(k, k.command) }

func (k Kubectl) command(e *connect.OpenRequest, _ string) (*tool.Tool, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	cluster := flags(flag{"kubeconfig", k.Kubeconfig}, flag{"context", k.Context}, flag{"namespace", k.Namespace})
	container := flags(flag{"container", k.Container})
	return enter(tool.ProgramOr(k.Path, "kubectl"), cluster, []string{"exec", "-i"}, container, k.Args, []string{k.Pod, "--"}, e.Argv), nil
}

func (k Kubectl) check() error {
	return cmp.Or(
		check.Word("pod", k.Pod, "/"), check.Optional("container", k.Container), check.Optional("namespace", k.Namespace),
		check.Args([]string{k.Context, k.Kubeconfig}), check.Args(k.Args),
	)
}

// parseKubectl reads POD[:CONTAINER][@NAMESPACE]. Whether the names are valid is checked when
// the options are known.
func parseKubectl(arg string) (connect.Method, error) {
	pod, namespace, _ := strings.Cut(arg, "@")
	pod, container, _ := strings.Cut(pod, ":")
	return Kubectl{Pod: pod, Container: container, Namespace: namespace}, nil
}
