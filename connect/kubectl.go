package connect

import (
	"cmp"
	"context"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// Kubectl continues in a container of a pod, by the kubectl program and its
// configuration.
//
// Errors: [ErrNoRuntime] where there is no kubectl, context, namespace, pod or
// container; [ErrPermission] where the cluster does not let us in; [ErrRefused] and [ErrStart]
// where the cluster can't be reached; [ErrBadName].
type Kubectl struct {
	Pod        string   // name of the pod, or "deployment/NAME" and the like for one of those
	Container  string   // of the pod; "" is its default container
	Namespace  string   // "" is that of the context
	Context    string   // of the configuration; "" is its current one
	Kubeconfig string   // file; "" is kubectl's choice
	Args       []string // further options of kubectl exec, as they are
	Path       string   // of kubectl; "" looks for it in PATH
}

func init() { Register[Kubectl]("kubectl") }

// Label implements Method.
func (k Kubectl) Label() string {
	label := "kubectl:" + k.Pod
	for _, part := range []struct{ mark, name string }{{":", k.Container}, {"@", k.Namespace}, {"@", k.Context}} {
		if part.name != "" {
			label += part.mark + part.name
		}
	}
	return label
}

// Traits implements Method.
func (Kubectl) Traits() Traits { return Traits{} }

// Open implements Method.
func (k Kubectl) Open(ctx context.Context, e *Env) (bootstrap.Carrier, error) {
	return openTool(ctx, e, k)
}

func (k Kubectl) plan(e *Env, _ string) (*tool, error) {
	err := cmp.Or(
		checkWord("pod", k.Pod, "/"), checkOptional("container", k.Container), checkOptional("namespace", k.Namespace),
		checkArgs([]string{k.Context, k.Kubeconfig}), checkArgs(k.Args),
	)
	if err != nil {
		return nil, err
	}
	cluster := flags(flag{"kubeconfig", k.Kubeconfig}, flag{"context", k.Context}, flag{"namespace", k.Namespace})
	container := flags(flag{"container", k.Container})
	return enter(programOr(k.Path, "kubectl"), cluster, []string{"exec", "-i"}, container, k.Args, []string{k.Pod, "--"}, e.Argv), nil
}
