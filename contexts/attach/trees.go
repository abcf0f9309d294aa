package attach

import (
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/succession"
)

// trees is the part of package contexts that it keeps for this package.
var trees = succession.Trees.(succession.Interface[*contexts.Node, *contexts.Config])
