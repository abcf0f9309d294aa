package files_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

func TestMain(m *testing.M) {
	contexts.Init()
	// What starts local children is there for all of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/mitosis-go/mitosis/connect/internal/tool.serveStarts"))
}

var (
	start, child, eventually = treetest.Start, treetest.Child, treetest.Eventually

	pid = contexts.NewFunc("test.pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
)
