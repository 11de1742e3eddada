# For debuggers and sanitizers: the default, and processes of the world may trace each other.
#
# Who may trace a process can make another program of it: a rule on a program's arguments then holds
# for programs that keep to what they were started as, and no longer against one that is out to get
# around it. The files, the network and the secrets of a world are held as ever, for those are held
# for all of its processes alike. The world's own first process, and all outside, stay out of reach:
# Landlock lets a process trace only what is under the same rules.

base default without tracing
