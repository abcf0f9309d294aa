package bootstrap

func watch() {}
