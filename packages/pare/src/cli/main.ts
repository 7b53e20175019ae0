process.stdout.write("pare\n");
