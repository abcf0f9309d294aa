package command

import "os"

func newFileStopper(*os.File) stopper { return nil }
