package bootstrap

func executableID(pid int) (dev, ino uint64, ok bool) { return 0, 0, false }
